"""Numbers of ioctls, as `asm-generic/ioctl.h` makes them on the machines that have virtio-gpu."""

from struct import Struct
from typing import Final

_WRITE: Final = 1
_READ: Final = 2


def iow(type_: str, number: int, layout: Struct) -> int:
    """`_IOW`: the kernel reads a `layout`."""
    return _encode(_WRITE, type_, number, layout)


def iowr(type_: str, number: int, layout: Struct) -> int:
    """`_IOWR`: the kernel reads a `layout` and writes it back."""
    return _encode(_READ | _WRITE, type_, number, layout)


def _encode(direction: int, type_: str, number: int, layout: Struct) -> int:
    return direction << 30 | layout.size << 16 | ord(type_) << 8 | number
