"""Each thing that a render node can lack is told in its own words."""

import errno
from collections.abc import Generator

import pytest

from crossdomain.abi import cross_domain, virtgpu_drm
from crossdomain.errors import EnvironmentFault
from launcher.channel import render_node
from tests.unit.launcher.fake_drm import NODE, FakeDriver


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeDriver]:
    made = FakeDriver()
    made.install(monkeypatch)
    yield made
    made.close()


def reason(path: str = NODE) -> str:
    """Why there is no node, with the hint."""
    with pytest.raises(EnvironmentFault) as fault:
        render_node.find(path)
    assert fault.value.hint
    assert "\n" not in str(fault.value) + fault.value.hint
    return str(fault.value)


def test_a_node_with_everything_is_found(driver: FakeDriver) -> None:
    found = render_node.find(NODE)
    assert found.path == NODE
    assert found.capset.features == cross_domain.Feature.MAX_SEND
    assert driver.contexts == []


def test_a_foreign_hosts_short_capset_is_good_enough(driver: FakeDriver) -> None:
    driver.capset = driver.capset[:16]
    assert render_node.find(NODE).capset.features == 0


@pytest.mark.parametrize(
    ("parameter", "word"),
    [
        (virtgpu_drm.VIRTGPU_PARAM_3D_FEATURES, "F_VIRGL"),
        (virtgpu_drm.VIRTGPU_PARAM_RESOURCE_BLOB, "F_RESOURCE_BLOB"),
        (virtgpu_drm.VIRTGPU_PARAM_HOST_VISIBLE, "host-visible"),
        (virtgpu_drm.VIRTGPU_PARAM_CONTEXT_INIT, "F_CONTEXT_INIT"),
        (virtgpu_drm.VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs, "capset 5"),
    ],
)
def test_a_missing_feature_is_named(driver: FakeDriver, parameter: int, word: str) -> None:
    driver.parameters[parameter] = 0
    assert word in reason()


def test_other_capsets_do_not_help(driver: FakeDriver) -> None:
    driver.parameters[virtgpu_drm.VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs] = 0b11110
    assert "capset 5" in reason()


def test_a_host_without_a_wayland_channel_is_told(driver: FakeDriver) -> None:
    driver.capset = cross_domain.encode_capset(0, features=0)
    assert "no Wayland channel" in reason()


def test_another_driver_is_named(driver: FakeDriver) -> None:
    driver.names = [b"i915"]
    assert "'i915'" in reason()


@pytest.mark.parametrize(
    ("error", "words"),
    [(errno.EACCES, "permission denied"), (errno.ENOENT, "no render node"), (errno.EBUSY, "can't be opened")],
)
def test_a_node_that_can_not_be_opened_is_told(driver: FakeDriver, error: int, words: str) -> None:
    driver.open_error = error
    assert words in reason()


def test_the_first_node_that_can_is_taken(driver: FakeDriver) -> None:
    driver.nodes = [NODE, "/dev/dri/renderD129"]
    driver.names = [b"i915", virtgpu_drm.DRIVER_NAME]
    assert render_node.find().path == "/dev/dri/renderD129"


def test_no_node_at_all_is_told(driver: FakeDriver) -> None:
    driver.nodes = []
    assert "no render node" in reason("")


def test_of_several_that_can_not_the_virtio_gpus_reason_is_told(driver: FakeDriver) -> None:
    driver.nodes = [NODE, "/dev/dri/renderD129"]
    driver.names = [b"i915", virtgpu_drm.DRIVER_NAME]
    driver.parameters[virtgpu_drm.VIRTGPU_PARAM_CONTEXT_INIT] = 0
    assert "F_CONTEXT_INIT" in reason("")
