"""IGT's own tests of virtio-gpu's ioctls, on both of our devices: docs/igt.md says why some of them fail."""

import re
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.machine import Machine
from tests.fakes.forky import FORKY
from tests.fakes.programs import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCUMENT: Final = REPOSITORY / "docs" / "igt.md"
LIBRARIES: Final = f"{FORKY}/usr/lib/x86_64-linux-gnu"
PROGRAM: Final = f"{FORKY}/usr/libexec/igt-gpu-tools/drm_virtgpu"

# It takes the first card, and the newer release's libraries.
SCRIPT: Final = f"""
    mount --bind /dev/dri/$1 /dev/dri/card0
    exec 2>&1 {LIBRARIES}/ld-linux-x86-64.so.2 --library-path {LIBRARIES} {PROGRAM}"""

PASSING: Final = {
    "card0": (
        "drm-virtgpu-map",
        "drm-virtgpu-execbuffer",
        "drm-virtgpu-resource-info",
        "drm-virtgpu-3d-transfer-to-host",
        "drm-virtgpu-3d-transfer-from-host",
        "drm-virtgpu-3d-wait",
        "drm-virtgpu-resource-create",
        "drm-virtgpu-resource-create-blob",
        "drm-virtgpu-context-init",
        "drm-virtgpu-getparam",
    ),
    "card1": (
        "drm-virtgpu-map",
        "drm-virtgpu-resource-info",
        "drm-virtgpu-3d-transfer-to-host",
        "drm-virtgpu-3d-wait",
        "drm-virtgpu-resource-create",
        "drm-virtgpu-resource-create-blob",
        "drm-virtgpu-getparam",
    ),
}
"""By device: the GPU, and the memory device."""


@pytest.mark.parametrize("card", PASSING)
async def test_what_needs_no_3d_renderer_passes(machine: Machine, card: str) -> None:
    command = ["unshare", "--mount", "sh", "-e", "-c", SCRIPT, "sh", card]
    done = await machine.run(command, user="root", timeout=120)
    results = re.findall(r"^Subtest (\S+): (\w+) ", done.output.decode(), re.MULTILINE)
    assert [name for name, result in results if result == "SUCCESS"] == list(PASSING[card]), done.output
    others = [name for name, result in results if result != "SUCCESS"]
    assert others == documented(DOCUMENT, card), done.output


def documented(document: Path, card: str) -> list[str]:
    """The subtests that fail there, as the document has them."""
    rows = re.findall(r"^\| `(\S+)` \| (\S+) \|", document.read_text(), re.MULTILINE)
    return [name for name, found in rows if found == card]
