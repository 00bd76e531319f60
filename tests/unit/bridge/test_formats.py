"""wl_shm's formats and what a buffer of each needs of its pool."""

from importlib import import_module

import pytest

from crossdomain.bridge.formats import BufferRequest, Layout, ShmError, check_buffer, formats, fourcc, layout
from crossdomain.wire.faults import WireFault

ARGB8888, RGB565, NV12, YUV420, YUYV = 0, fourcc("RG16"), fourcc("NV12"), fourcc("YU12"), fourcc("YUYV")

WL_SHM_FORMATS: set[int] = {int(code) for code in import_module("pywayland.protocol.wayland").WlShm.format}

WITHOUT_LINEAR_LAYOUT = {"VU30", "YU08", "YU10", "Y0L0", "X0L0", "Y0L2", "X0L2"}


def request(**changes: int) -> BufferRequest:
    """A buffer of 64 x 32 px that just fits its pool."""
    plain = BufferRequest(
        pool_id=7, pool_size=4096 + 256 * 32, offset=4096, width=64, height=32, stride=256, format=ARGB8888
    )
    return plain._replace(**changes)


def layout_of(format_code: int, width: int, height: int, stride: int) -> Layout:
    found = layout(format_code, width, height, stride)
    assert found is not None
    return found


def test_every_format_of_wl_shm_is_known_or_left_out_on_purpose() -> None:
    unknown = WL_SHM_FORMATS - set(formats())
    assert unknown == {fourcc(code) for code in WITHOUT_LINEAR_LAYOUT}
    assert set(formats()) <= WL_SHM_FORMATS


@pytest.mark.parametrize(
    ("format_code", "stride", "size"),
    [
        (ARGB8888, 256, 256 * 32),
        (RGB565, 128, 128 * 32),
        (fourcc("R8"), 64, 64 * 32),
        (fourcc("C1"), 8, 8 * 32),
        (fourcc("RG24"), 192, 192 * 32),
        (fourcc("AB8F"), 1024, 1024 * 32),
        (YUYV, 128, 128 * 32),
        (NV12, 64, 64 * 32 * 3 // 2),
        (YUV420, 64, 64 * 32 * 3 // 2),
        (fourcc("YU24"), 64, 64 * 32 * 3),
        (fourcc("P010"), 128, 128 * 32 * 3 // 2),
        (fourcc("NV15"), 80, 80 * 32 * 3 // 2),
        (fourcc("XRA8"), 256, 256 * 32 * 5 // 4),
    ],
)
def test_a_buffer_has_the_size_of_its_planes(format_code: int, stride: int, size: int) -> None:
    assert layout_of(format_code, 64, 32, stride).size == size


def test_planes_follow_each_other() -> None:
    planes = layout_of(YUV420, 64, 32, 72).planes
    assert [(plane.offset, plane.stride, plane.rows) for plane in planes] == [
        (0, 72, 32),
        (72 * 32, 36, 16),
        (72 * 32 + 36 * 16, 36, 16),
    ]


def test_odd_sizes_have_room_for_the_last_chroma_sample() -> None:
    assert [plane.rows for plane in layout_of(NV12, 5, 5, 8).planes] == [5, 3]
    assert layout(NV12, 5, 5, 5) is None
    assert layout(YUYV, 5, 5, 10) is None
    assert layout_of(YUYV, 5, 5, 12).size == 60


def test_a_buffer_that_just_fits_its_pool_is_allowed() -> None:
    assert check_buffer(request()).size == 256 * 32


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 4097},
        {"offset": -1},
        {"width": 0},
        {"width": -5},
        {"height": 0},
        {"height": 33},
        {"stride": 0},
        {"stride": -256},
        {"stride": 255},
        {"width": 65},
        {"pool_size": 4096 + 256 * 32 - 1},
        {"height": 0x7FFFFFFF, "stride": 0x7FFFFFFF},
        {"width": 1, "height": 0x800001, "pool_size": 0x7FFFFFFF, "offset": 0},
        {"format": NV12, "width": 256},
    ],
)
def test_a_buffer_that_does_not_fit_its_pool_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(WireFault, match="invalid width, height or stride") as caught:
        check_buffer(request(**changes))
    assert (caught.value.object_id, caught.value.code) == (7, ShmError.INVALID_STRIDE)


@pytest.mark.parametrize("format_code", [2, 0xFFFFFFFF, fourcc("VU30")])
def test_an_unknown_format_is_refused(format_code: int) -> None:
    with pytest.raises(WireFault, match="invalid format") as caught:
        check_buffer(request(format=format_code))
    assert caught.value.code == ShmError.INVALID_FORMAT
