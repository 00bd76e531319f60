"""The C core, as cffi gives it: `lib` with the functions of `core.h`, `ffi` for memory.

`crossdomain.wire.native`, `crossdomain.bridge.copy` and `crossdomain.native.system` put
Python objects around it; nothing else calls it.  The signatures are in `_core.pyi`.
Calls release the GIL; one walker must not be used by two threads at once.
"""

from crossdomain.errors import EnvironmentFault

try:
    from crossdomain.native._core import ffi, lib
except ImportError as error:
    raise EnvironmentFault(
        f"the C core cannot be loaded ({error})",
        hint="install the package with pip, or build it in place: python setup.py build_ext --inplace",
    ) from error

__all__ = ["ffi", "lib"]
