"""A virtual machine's windows on the desktop that hosts it.

The core shared by both sides (``abi``, ``wire``, ``bridge``, ``native``) and the
host service (``context``, ``device``, ``host``, ``vm``).  The guest's half is the
package ``launcher``.
"""

__version__ = "0.1.0"
