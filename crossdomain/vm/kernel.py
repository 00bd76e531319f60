"""Takes the kernel proper out of Debian's compressed kernel image.

QEMU starts an uncompressed kernel through its PVH entry point, without firmware and without the guest
unpacking 64 MB first: emulated, that is a quarter of the whole boot.  See the kernel's
Documentation/arch/x86/boot.rst (payload_offset, payload_length).
"""

import struct
import subprocess
from typing import Final

from crossdomain.errors import EnvironmentFault

_SETUP_SECTORS: Final = 0x1F1
_MAGIC: Final = 0x202
_PAYLOAD: Final = 0x248
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ELF: Final = b"\x7fELF"


def unpack(compressed: bytes, zstd: list[str]) -> bytes:
    """Return the ELF file inside a bzImage.

    Args:
        compressed: the whole file.
        zstd: the command that runs zstd(1).

    Raises:
        EnvironmentFault: it is no bzImage with a zstd payload, as Debian builds its kernels.
    """
    if len(compressed) < _PAYLOAD + 8 or compressed[_MAGIC : _MAGIC + 4] != b"HdrS":
        raise _unknown("no kernel image")
    offset, length = struct.unpack_from("<II", compressed, _PAYLOAD)
    start = (compressed[_SETUP_SECTORS] + 1) * 512 + offset
    payload = compressed[start : start + length]
    if not payload.startswith(_ZSTD):
        raise _unknown(f"its payload begins with {payload[:4].hex()}")
    # The last four bytes are the unpacked size, added by the kernel's build: no part of the zstd frame.
    done = subprocess.run([*zstd, "-dc"], input=payload[:-4], capture_output=True, check=False)
    if done.returncode != 0 or not done.stdout.startswith(_ELF):
        raise _unknown(done.stderr.decode(errors="replace").strip() or "it unpacks to something else")
    return done.stdout


def _unknown(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the image's kernel cannot be unpacked: {why}", hint="run `crossdomain vm image --rebuild`"
    )
