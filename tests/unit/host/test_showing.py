"""Whether a compositor reads an image in place: it is asked once, where its answer costs no client."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

import pytest

from crossdomain.abi.pages import Verdict
from crossdomain.bridge.formats import fourcc
from crossdomain.bridge.udmabuf import Span, Udmabuf
from crossdomain.context.ports import Image, PlacedPlane
from crossdomain.host.security_context import ANSWER_SECONDS
from crossdomain.host.showing import GivenDmabufs, Showing
from tests.unit.context.world import CompositorEnd, delete_id, event, request, until

DMABUF: Final = "zwp_linux_dmabuf_v1"
PARAMS: Final = "zwp_linux_buffer_params_v1"
XRGB: Final = fourcc("XR24")
IMAGE: Final = Image(512, XRGB, 64, 32, 256)
OTHER: Final = IMAGE._replace(width=128, stride=512)
SPANS: Final = (Span(-1, 0, 4096),)
MEMORIES: Final = (SPANS, (Span(-1, 8192, 4096),))
FILM: Final = Image(0, fourcc("NV12"), 256, 32, 256, (PlacedPlane(1, 64, 256),))
"""Its planes are in two dmabufs."""
LIST: Final = request("wl_display", "get_registry", 1, 2) + request("wl_display", "sync", 1, 3)
LISTED: Final = event("wl_callback", "done", 3, 0) + delete_id(3)
BOUND: Final = request("wl_registry", "bind", 2, 9, DMABUF, 3, 4) + request("wl_display", "sync", 1, 5)
TOLD: Final = event("wl_callback", "done", 5, 0) + delete_id(5)
LINEAR, INVALID, TILED = (0, 0), (0x00FFFFFF, 0xFFFFFFFF), (0x01000000, 1)
"""Modifiers, as two words."""
BUFFER: Final = 0xFF000000


def modifier(format_: int, words: tuple[int, int] = LINEAR) -> bytes:
    """The compositor takes a format with that modifier."""
    return event(DMABUF, "modifier", 4, format_, *words)


def tried(image: Image, words: tuple[int, int] = LINEAR) -> bytes:
    """The requests that try an image."""
    return b"".join(
        (
            request(DMABUF, "create_params", 4, 6),
            *(
                request(PARAMS, "add", 6, None, index, plane.offset, plane.stride, *words)
                for index, plane in enumerate(image.planes)
            ),
            request(PARAMS, "create", 6, image.width, image.height, image.format, 0),
        )
    )


class FakeUdmabuf(Udmabuf):
    """A device whose dmabufs are memfds."""

    def __init__(self) -> None:
        super().__init__(os.open("/dev/null", os.O_RDWR), 2, 1 << 20)
        self.failure: OSError | None = None
        self.fails_at = -1
        """The number of the dmabuf that can't be made."""
        self.made = 0

    def create(self, spans: Sequence[Span]) -> int:
        """See `Udmabuf`."""
        assert self.takes(spans)
        if self.failure is not None:
            raise self.failure
        if self.made == self.fails_at:
            raise OSError(22, "Invalid argument")
        self.made += 1
        return os.memfd_create("dmabuf", os.MFD_CLOEXEC)


class Stage:
    """A VM's `Showing`, and the compositor in the test's hands."""

    def __init__(self) -> None:
        self.udmabuf = FakeUdmabuf()
        self.connections: list[CompositorEnd] = []
        self.refusals: list[OSError] = []
        """Raised, one after the other, in the place of a connection."""
        self.showing = Showing(self.udmabuf, self._connect, "vm test")

    @property
    def compositor(self) -> CompositorEnd:
        """The end of the newest connection."""
        return self.connections[-1]

    def judge(self, image: Image = IMAGE) -> Verdict:
        """Ask about an image."""
        return self.showing.judge(image, MEMORIES[: 1 + max(plane.memory for plane in image.planes)])

    async def verdict(self, image: Image = IMAGE) -> Verdict:
        """The answer once there is one."""
        await until(lambda: self.judge(image) is not Verdict.ASKING)
        return self.judge(image)

    async def expect(self, data: bytes) -> None:
        """The compositor gets that; fds are given up."""
        await until(lambda: bool(self.connections))
        assert await self.compositor.receive(len(data)) == data
        for fd in self.compositor.take_fds():
            os.close(fd)

    async def listen(self, *globals_: tuple[int, str, int]) -> None:
        """Answers a fresh connection."""
        await self.expect(LIST)
        self.compositor.send(
            b"".join(event("wl_registry", "global", 2, *entry) for entry in globals_) + LISTED
        )

    async def tell(self, *modifiers: bytes) -> None:
        """Answers a fresh connection on which an image is to be tried, with formats and modifiers."""
        await self.listen((1, "wl_shm", 1), (9, DMABUF, 5))
        await self.expect(BOUND)
        self.compositor.send(b"".join(modifiers) + TOLD)

    async def try_first(self) -> None:
        """The first image is tried, up to the compositor's answer."""
        assert self.judge() is Verdict.ASKING
        await self.tell(modifier(XRGB))
        await self.expect(tried(IMAGE))

    def _connect(self) -> socket.socket:
        if self.refusals:
            raise self.refusals.pop(0)
        ours, theirs = socket.socketpair()
        self.connections.append(CompositorEnd(theirs))
        return ours

    def close(self) -> None:
        """Ends both sides."""
        self.showing.close()
        for compositor in self.connections:
            compositor.close()
        self.udmabuf.close()


@pytest.fixture
async def stage() -> AsyncGenerator[Stage]:
    made = Stage()
    yield made
    made.close()
    await asyncio.sleep(0)  # what was cancelled ends


CREATED: Final = event(PARAMS, "created", 6, BUFFER)
FAILED: Final = event(PARAMS, "failed", 6)


async def test_an_image_that_the_compositor_takes_is_shown(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(CREATED)
    assert await stage.verdict() is Verdict.YES
    await stage.expect(request(PARAMS, "destroy", 6) + request("wl_buffer", "destroy", BUFFER))


async def test_an_image_is_tried_once(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(CREATED)
    await stage.verdict()
    assert (stage.judge(), stage.udmabuf.made, len(stage.connections)) == (Verdict.YES, 1, 1)


async def test_every_kind_of_image_is_tried_by_itself(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(CREATED)
    await stage.verdict()
    await stage.expect(request(PARAMS, "destroy", 6) + request("wl_buffer", "destroy", BUFFER))
    assert stage.judge(OTHER) is Verdict.ASKING
    await stage.expect(tried(OTHER))
    stage.compositor.send(delete_id(6) + FAILED)
    assert await stage.verdict(OTHER) is Verdict.NO
    assert stage.judge() is Verdict.YES


async def test_an_image_in_two_dmabufs_is_tried_with_both(stage: Stage) -> None:
    assert stage.judge(FILM) is Verdict.ASKING
    await stage.tell(modifier(FILM.format))
    data = tried(FILM)
    assert await stage.compositor.receive(len(data)) == data
    fds = stage.compositor.take_fds()
    assert len({os.fstat(fd).st_ino for fd in fds}) == len(fds) == stage.udmabuf.made == 2
    for fd in fds:
        os.close(fd)
    stage.compositor.send(CREATED)
    assert await stage.verdict(FILM) is Verdict.YES


async def test_where_one_of_two_dmabufs_can_not_be_made_nothing_is_tried(stage: Stage) -> None:
    beyond = (Span(-1, 0, 2 << 20),)
    assert stage.showing.judge(FILM, [SPANS, beyond]) is Verdict.NO
    stage.udmabuf.fails_at = 1
    assert stage.judge(FILM) is Verdict.NO


LISTS: Final[dict[str, tuple[list[bytes], tuple[int, int]]]] = {
    "linear": ([modifier(XRGB, TILED), modifier(XRGB, INVALID), modifier(XRGB)], LINEAR),
    "linear first": ([modifier(XRGB), modifier(XRGB, INVALID)], LINEAR),
    "implicit": ([modifier(XRGB, TILED), modifier(XRGB, INVALID), modifier(FILM.format)], INVALID),
}


@pytest.mark.parametrize(("listed", "words"), LISTS.values(), ids=LISTS)
async def test_an_image_has_the_modifier_that_the_compositor_lists_for_linear_memory(
    stage: Stage, listed: list[bytes], words: tuple[int, int]
) -> None:
    assert stage.judge() is Verdict.ASKING
    await stage.tell(*listed)
    await stage.expect(tried(IMAGE, words))
    stage.compositor.send(CREATED)
    assert await stage.verdict() is Verdict.YES
    assert divmod(stage.showing.modifier(IMAGE), 1 << 32) == words


@pytest.mark.parametrize(
    "listed", [[], [modifier(XRGB, TILED), modifier(FILM.format)]], ids=["none", "tiled"]
)
async def test_a_format_that_is_not_listed_for_linear_memory_is_not_tried(
    stage: Stage, listed: list[bytes]
) -> None:
    assert stage.judge() is Verdict.ASKING
    await stage.tell(*listed)
    assert await stage.verdict() is Verdict.NO
    stage.showing.close()
    await stage.compositor.wait_until_gone()
    assert stage.compositor.received == b""


async def test_one_image_is_tried_at_a_time(stage: Stage) -> None:
    await stage.try_first()
    assert stage.judge(OTHER) is Verdict.ASKING
    assert stage.udmabuf.made == 1


async def test_a_compositor_that_ends_the_trial_takes_none(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(event("wl_display", "error", 1, 6, 4, "invalid format"))
    assert await stage.verdict() is Verdict.NO


async def test_a_trial_that_was_ended_is_no_reason_against_another_image(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(event("wl_display", "error", 1, 6, 4, "invalid format"))
    await stage.verdict()
    assert stage.judge(OTHER) is Verdict.ASKING
    await until(lambda: len(stage.connections) == 2)
    await stage.tell(modifier(XRGB))
    await stage.expect(tried(OTHER))
    stage.compositor.send(CREATED)
    assert await stage.verdict(OTHER) is Verdict.YES


async def test_a_compositor_has_time_for_each_of_its_answers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, passed = asyncio.get_running_loop(), 0.0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + passed)
    assert stage.judge() is Verdict.ASKING
    await stage.expect(LIST)
    passed += ANSWER_SECONDS * 0.8
    stage.compositor.send(event("wl_registry", "global", 2, 9, DMABUF, 5) + LISTED)
    await stage.expect(BOUND)
    passed += ANSWER_SECONDS * 0.8
    stage.compositor.send(modifier(XRGB) + TOLD)
    await stage.expect(tried(IMAGE))
    assert stage.judge() is Verdict.ASKING
    passed += ANSWER_SECONDS * 0.8
    stage.compositor.send(CREATED)
    assert await stage.verdict() is Verdict.YES


async def test_a_compositor_that_does_not_answer_takes_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, passed = asyncio.get_running_loop(), 0.0
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + passed)
    await stage.try_first()
    passed += ANSWER_SECONDS
    assert await stage.verdict() is Verdict.NO


@pytest.mark.parametrize("globals_", [[(1, "wl_shm", 1)], [(9, DMABUF, 2)]], ids=["none", "old"])
async def test_a_compositor_without_dmabufs_takes_none(
    stage: Stage, globals_: list[tuple[int, str, int]]
) -> None:
    assert stage.judge() is Verdict.ASKING
    await stage.listen(*globals_)
    assert await stage.verdict() is Verdict.NO


async def test_what_a_compositor_said_is_void_when_it_is_replaced(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(CREATED)
    await stage.verdict()
    stage.compositor.close()
    await until(lambda: stage.judge() is Verdict.ASKING)
    await until(lambda: len(stage.connections) == 2)


async def test_a_compositor_that_is_busy_is_asked_again(stage: Stage) -> None:
    stage.refusals = [BlockingIOError()]
    assert stage.judge() is Verdict.ASKING
    await until(lambda: stage.judge() is Verdict.ASKING and bool(stage.connections))


async def test_a_compositor_that_is_not_there_takes_none(stage: Stage) -> None:
    stage.refusals = [ConnectionRefusedError(111, "Connection refused")]
    assert stage.judge() is Verdict.ASKING
    assert await stage.verdict() is Verdict.NO


LIMITS: Final[list[tuple[str, tuple[Span, ...]]]] = [
    ("spans", tuple(Span(-1, 8192 * index, 4096) for index in range(3))),
    ("bytes", (Span(-1, 0, 2 << 20),)),
]


@pytest.mark.parametrize("spans", [spans for _, spans in LIMITS], ids=[name for name, _ in LIMITS])
async def test_what_udmabuf_does_not_take_is_copied(stage: Stage, spans: tuple[Span, ...]) -> None:
    assert stage.showing.judge(IMAGE, [spans]) is Verdict.NO
    assert stage.connections == []


async def test_a_kernel_that_makes_no_dmabufs_of_this_memory_is_not_asked_again(stage: Stage) -> None:
    stage.udmabuf.failure = OSError(22, "Invalid argument")
    first = stage.judge()
    stage.udmabuf.failure = None
    assert (first, stage.judge()) == (Verdict.NO, Verdict.NO)


@pytest.mark.parametrize("shortage", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_kernel_that_is_short_of_something_is_asked_again(stage: Stage, shortage: int) -> None:
    stage.udmabuf.failure = OSError(shortage, "short")
    assert stage.judge() is Verdict.ASKING
    assert stage.connections == []
    stage.udmabuf.failure = None
    await stage.try_first()
    stage.compositor.send(CREATED)
    assert await stage.verdict() is Verdict.YES


async def test_a_compositor_that_ended_a_client_gets_no_more(stage: Stage) -> None:
    await stage.try_first()
    stage.compositor.send(CREATED)
    await stage.verdict()
    stage.showing.distrust()
    assert stage.judge() is Verdict.NO


Break = Callable[[CompositorEnd], None]
BREAKS: Final[list[Break]] = [lambda end: end.send(b"\0" * 8), lambda end: end.close()]


@pytest.mark.parametrize("break_", BREAKS, ids=["no Wayland", "a hang-up"])
async def test_a_broken_trial_costs_nobody_else(stage: Stage, break_: Break) -> None:
    await stage.try_first()
    break_(stage.compositor)
    assert await stage.verdict() is Verdict.NO


def test_given_dmabufs_are_as_they_are() -> None:
    """One of a launcher's is not cut, and two are not joined."""
    maker = GivenDmabufs()
    assert not maker.cuts
    assert (maker.takes(SPANS), maker.takes((Span(-1, 4096, 4096),)), maker.takes(SPANS * 2)) == (
        *(True, False, False),
    )
