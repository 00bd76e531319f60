"""Which modules go into the initramfs, and in which order."""

from pathlib import Path

import pytest

from crossdomain.vm.initramfs import resolve_modules

MODULES_DEP = """\
kernel/fs/netfs/netfs.ko.xz:
kernel/net/9p/9pnet.ko.xz:
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz
kernel/drivers/gpu/drm/virtio/virtio-gpu.ko.xz: kernel/drivers/gpu/drm/drm.ko.xz
kernel/drivers/gpu/drm/drm.ko.xz:
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "modules.dep").write_text(MODULES_DEP)
    return tmp_path


def names(directory: Path, *wanted: str) -> list[str]:
    return [path.name.removesuffix(".ko.xz") for path in resolve_modules(directory, wanted)]


def test_what_a_module_needs_comes_before_it_and_once(modules: Path) -> None:
    assert names(modules, "9p", "9pnet_virtio") == ["netfs", "9pnet", "9p", "9pnet_virtio"]


def test_dashes_and_underscores_are_the_same(modules: Path) -> None:
    assert names(modules, "virtio_gpu") == ["drm", "virtio-gpu"]


def test_a_module_that_is_built_into_the_kernel_is_left_out(modules: Path) -> None:
    assert names(modules, "virtio_console", "9pnet_virtio") == ["9pnet", "9pnet_virtio"]
