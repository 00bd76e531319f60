"""The X connection of the window manager: pure encoding and decoding, and a connection that never waits.

python-xlib is not used here, though the tests compare every message with its definitions.  Its
Display waits for replies; that can lock up, because Xwayland may itself be waiting for an answer of
the compositor that has to pass through this process.  And it decodes a property in the time in which
these few dozen structures decode twenty, which decides how long a storm of them lasts in a guest.
"""
