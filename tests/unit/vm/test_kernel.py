"""The kernel is taken out of a bzImage as the boot protocol describes it, and nothing else is."""

import shutil
import struct
import subprocess

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import kernel

ELF = b"\x7fELF" + bytes(range(256)) * 100
ZSTD = [shutil.which("zstd") or "zstd"]


def bzimage(payload: bytes, *, sectors: int = 3) -> bytes:
    """A bzImage of `sectors` sectors of set-up code, with the payload 100 bytes into the protected part."""
    head = bytearray((sectors + 1) * 512 + 100)
    head[0x1F1] = sectors
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + payload + b"what follows"


def compressed(data: bytes) -> bytes:
    frame = subprocess.run([*ZSTD, "-c"], input=data, capture_output=True, check=True).stdout
    return frame + struct.pack("<I", len(data))


@pytest.mark.parametrize("sectors", [3, 39])
def test_the_kernel_comes_out_whole(sectors: int) -> None:
    assert kernel.unpack(bzimage(compressed(ELF), sectors=sectors), ZSTD) == ELF


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ" + bytes(2000),
        bzimage(b"\x1f\x8bgzip"),
        bzimage(compressed(b"no kernel")),
        bzimage(compressed(ELF)[:100] + b"\0\0\0\0"),
        bzimage(b""),
    ],
    ids=["empty", "no kernel image", "gzip", "no ELF inside", "cut", "no payload"],
)
def test_anything_else_is_told(data: bytes) -> None:
    with pytest.raises(EnvironmentFault, match="cannot be unpacked"):
        kernel.unpack(data, ZSTD)
