"""Guest pages that the compositor reads in place: what it is told, and what a guest may not."""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

import pytest

from crossdomain.abi.cross_domain import Identifier, IdentifierType
from crossdomain.abi.pages import (
    KEY_PREFIX,
    KEY_SIZE,
    PAGE_SIZE,
    CopyPages,
    Shown,
    ShowPages,
    ShowPlane,
    Verdict,
    encode_show_pages,
    parse_shown,
)
from crossdomain.bridge.copy import Pixels
from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_INVALID
from crossdomain.bridge.formats import fourcc
from crossdomain.bridge.udmabuf import Span
from crossdomain.context.ports import Image, Pages
from crossdomain.errors import GuestFault
from crossdomain.limits import MAX_SHOWN_BUFFERS
from tests.unit.context.test_requests import announce
from tests.unit.context.world import FakeMemoryDevice, World, delete_id, event, request, until

DMABUF: Final = "zwp_linux_dmabuf_v1"
PARAMS: Final = "zwp_linux_buffer_params_v1"
KEY: Final = KEY_PREFIX + bytes(range(KEY_SIZE - len(KEY_PREFIX)))
SOURCE, OTHER_SOURCE = 7, 8
SHM, POOL, BUFFER = 3, 4, 5
WIDTH, HEIGHT, STRIDE = 64, 32, 256
OFFSET: Final = PAGE_SIZE + 512
USUAL: Final = ShowPages(SOURCE, BUFFER, OFFSET, KEY, 1, WIDTH, HEIGHT, STRIDE)
BIND_SHM: Final = request("wl_registry", "bind", 2, 1, "wl_shm", 1, SHM)
CREATE_POOL: Final = request("wl_shm", "create_pool", SHM, POOL, None, 1)
CREATE_BUFFER: Final = request("wl_shm_pool", "create_buffer", POOL, BUFFER, 0, WIDTH, HEIGHT, STRIDE, 1)
DESTROY_POOL: Final = request("wl_shm_pool", "destroy", POOL)


class ShownFile:
    """Pages of the guest with the key on the first; see `Pages`."""

    place = None

    def __init__(self) -> None:
        self.size = 64 * PAGE_SIZE
        self.owner: object = None

    def read(self, offset: int, length: int, /) -> bytes:
        """The key, and zeroes."""
        return KEY.ljust(self.size, b"\0")[offset : offset + length]

    def copy_out(self, destination: Pixels, copy: CopyPages, /) -> int:
        """Nothing is copied here."""
        raise NotImplementedError

    def spans(self, offset: int, length: int, /) -> list[Span]:
        """One run."""
        if offset + length > self.size:
            raise GuestFault("beyond the pages")
        return [Span(-1, offset, length)]


class FakeShowing:
    """A host that says `verdict` of every image, and whose dmabufs are memfds."""

    def __init__(self) -> None:
        self.verdict = Verdict.YES
        self.cuts = True
        self.told = 0
        """The modifier."""
        self.images: list[Image] = []
        self.spans: list[Span] = []
        self.inodes: list[int] = []
        self.distrusted = False
        self.failures: list[OSError | None] = []
        """Of the next dmabufs; none fails when there are none left."""

    def judge(self, image: Image, memories: Sequence[Sequence[Span]], /) -> Verdict:
        """See `Showing`."""
        self.images.append(image)
        self.spans = [span for spans in memories for span in spans]
        return self.verdict

    def modifier(self, _image: Image, /) -> int:
        """See `Showing`."""
        return self.told

    def distrust(self) -> None:
        """See `Showing`."""
        self.distrusted = True

    def create_dmabuf(self, _spans: Sequence[Span], /) -> int:
        """See `Showing`."""
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        fd = os.memfd_create("dmabuf", os.MFD_CLOEXEC)
        self.inodes.append(os.fstat(fd).st_ino)
        return fd


class ShowingWorld(World):
    """A client whose host shows pages."""

    def __init__(self) -> None:
        self.showing = FakeShowing()
        super().__init__(memory=FakeMemoryDevice(self._find), showing=self.showing)

    def _find(self, resource_id: int) -> Pages:
        if resource_id not in {SOURCE, OTHER_SOURCE}:
            raise GuestFault("no such pages")
        return ShownFile()

    def ask(self, show: ShowPages = USUAL) -> Shown:
        """SHOW_PAGES and its answer."""
        self.context.submit(encode_show_pages(show))
        return parse_shown(self.query_ring.data)

    def send_pool(self, shown: Shown, *more: bytes) -> None:
        """The pool of shown pages, and what follows it."""
        named = Identifier(shown.identifier, IdentifierType.PAGES, 1)
        self.send(CREATE_POOL + b"".join(more), named)


@pytest.fixture
async def world() -> AsyncGenerator[ShowingWorld]:
    made = ShowingWorld()
    made.init()
    yield made
    made.close()


async def announced(world: ShowingWorld, version: int) -> ShowingWorld:
    """A client that has bound wl_shm, on a compositor with that version of DMABUF."""
    shown = await announce(world, (1, "wl_shm", 1), (9, DMABUF, version))
    assert DMABUF.encode() not in shown
    world.send(BIND_SHM)
    await world.host.receive(len(BIND_SHM))
    return world


@pytest.fixture
async def client(world: ShowingWorld) -> ShowingWorld:
    return await announced(world, 5)


def made_of(version: int = 4, modifier: tuple[int, int] = (0, 0), offset: int = OFFSET % PAGE_SIZE) -> bytes:
    """What the compositor gets in the place of a pool."""
    return b"".join(
        (
            request("wl_registry", "bind", 2, 9, DMABUF, version, BUFFER),
            request(DMABUF, "create_params", BUFFER, POOL),
            request(DMABUF, "destroy", BUFFER),
            request(PARAMS, "add", POOL, None, 0, offset, STRIDE, *modifier),
        )
    )


CREATED: Final = request(PARAMS, "create_immed", POOL, BUFFER, WIDTH, HEIGHT, fourcc("XR24"), 0)
DESTROYED: Final = request(PARAMS, "destroy", POOL)


@pytest.mark.parametrize(("offered", "bound"), [(3, 3), (4, 4), (5, 4)])
async def test_a_pool_of_shown_pages_becomes_a_dmabuf(world: ShowingWorld, offered: int, bound: int) -> None:
    client = await announced(world, offered)
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    expected = made_of(bound) + CREATED + DESTROYED
    assert await client.host.receive(len(expected)) == expected
    (fd,) = client.host.take_fds()
    assert [os.fstat(fd).st_ino] == client.showing.inodes
    os.close(fd)


async def test_an_image_in_a_dmabuf_that_is_not_cut_is_where_it_is(client: ShowingWorld) -> None:
    client.showing.cuts = False
    client.send_pool(client.ask(), CREATE_BUFFER)
    assert client.showing.images == [Image(OFFSET, fourcc("XR24"), WIDTH, HEIGHT, STRIDE)]
    assert client.showing.spans == [Span(-1, 0, 4 * PAGE_SIZE)]
    expected = made_of(offset=OFFSET) + CREATED
    assert await client.host.receive(len(expected)) == expected
    (fd,) = client.host.take_fds()
    os.close(fd)


async def test_a_dmabuf_has_the_modifier_that_the_compositor_has_listed(client: ShowingWorld) -> None:
    client.showing.told = DRM_FORMAT_MOD_INVALID
    client.send_pool(client.ask(), CREATE_BUFFER)
    expected = made_of(modifier=divmod(DRM_FORMAT_MOD_INVALID, 1 << 32)) + CREATED
    assert await client.host.receive(len(expected)) == expected
    (fd,) = client.host.take_fds()
    os.close(fd)


async def test_the_image_is_judged_with_the_pages_that_it_is_on(client: ShowingWorld) -> None:
    client.ask()
    assert client.showing.images == [Image(512, fourcc("XR24"), WIDTH, HEIGHT, STRIDE)]
    assert client.showing.spans == [Span(-1, PAGE_SIZE, 3 * PAGE_SIZE)]


async def test_the_buffer_lives_on_under_its_id(client: ShowingWorld) -> None:
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    await client.host.receive(len(made_of() + CREATED + DESTROYED))
    events = delete_id(BUFFER) + delete_id(POOL) + event("wl_buffer", "release", BUFFER)
    client.host.send(events)
    assert await client.receive_bytes(len(events)) == events
    destroy = request("wl_buffer", "destroy", BUFFER)
    client.send(destroy)
    assert await client.host.receive(len(destroy)) == destroy


async def test_events_of_an_old_dmabuf_global_reach_nobody_who_minds(world: ShowingWorld) -> None:
    client = await announced(world, 3)
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    await client.host.receive(len(made_of(3) + CREATED + DESTROYED))
    client.host.send(event(DMABUF, "modifier", BUFFER, fourcc("XR24"), 0, 0) + delete_id(BUFFER))
    await client.receive_bytes(20 + 12)
    assert client.context.alive


@pytest.mark.parametrize("verdict", [Verdict.NO, Verdict.ASKING])
async def test_what_the_compositor_does_not_read_has_no_identifier(
    client: ShowingWorld, verdict: Verdict
) -> None:
    client.showing.verdict = verdict
    assert client.ask() == Shown(verdict)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_compositor_without_modifiers_is_not_asked(world: ShowingWorld, version: int) -> None:
    assert (await announced(world, version)).ask() == Shown(Verdict.NO)
    assert world.showing.images == []


async def test_a_compositor_whose_global_is_gone_is_not_asked(client: ShowingWorld) -> None:
    client.host.send(event("wl_registry", "global_remove", 2, 9) + delete_id(99))
    await client.receive_bytes(len(delete_id(99)))
    assert client.ask() == Shown(Verdict.NO)


async def test_a_stride_that_gpus_do_not_take_is_not_tried(client: ShowingWorld) -> None:
    assert client.ask(USUAL._replace(stride=STRIDE + 64)) == Shown(Verdict.NO)
    assert client.ask(film(stride=FILM_STRIDE + 64)) == Shown(Verdict.NO)
    assert client.showing.images == []


@pytest.mark.parametrize("made", [0, 1])
async def test_a_dmabuf_that_can_not_be_made_is_a_copy(client: ShowingWorld, made: int) -> None:
    client.showing.failures = [None] * made + [OSError(22, "Invalid argument")]
    assert client.ask(film(source=OTHER_SOURCE)) == Shown(Verdict.NO)


async def test_a_client_may_show_so_many_buffers_at_a_time(client: ShowingWorld) -> None:
    for _ in range(MAX_SHOWN_BUFFERS):
        assert client.ask().verdict is Verdict.YES
    assert client.ask() == Shown(Verdict.NO)


async def test_a_buffer_that_is_destroyed_makes_room(client: ShowingWorld) -> None:
    for _ in range(MAX_SHOWN_BUFFERS - 1):
        client.ask()
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    full = client.ask().verdict
    client.send(request("wl_buffer", "destroy", BUFFER))
    assert (full, client.ask().verdict) == (Verdict.NO, Verdict.YES)


async def test_a_compositor_that_ends_a_client_for_a_dmabuf_gets_no_more(client: ShowingWorld) -> None:
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    client.host.send(event("wl_display", "error", 1, POOL, 7, "import failed"))
    await until(lambda: client.showing.distrusted)


async def test_an_error_of_another_object_is_no_reason(client: ShowingWorld) -> None:
    client.send_pool(client.ask(), CREATE_BUFFER, DESTROY_POOL)
    client.host.send(event("wl_display", "error", 1, SHM, 7, "something else") + delete_id(99))
    await client.receive_data()
    assert not client.showing.distrusted


FILM_STRIDE: Final = 2 * STRIDE
FILM: Final = USUAL._replace(
    format=fourcc("NV12"),
    width=FILM_STRIDE - 3,
    height=HEIGHT + 1,
    stride=FILM_STRIDE,
    planes=(ShowPlane(SOURCE, FILM_STRIDE, OFFSET + FILM_STRIDE * (HEIGHT + 1), KEY),),
)
"""Of odd size, so that the last chroma sample stands for half of what others do."""
CREATE_FILM: Final = request(
    "wl_shm_pool", "create_buffer", POOL, BUFFER, 0, FILM.width, FILM.height, FILM_STRIDE, FILM.format
)


def added(index: int, offset: int) -> bytes:
    """What the compositor gets of one of its planes."""
    return request(PARAMS, "add", POOL, None, index, offset, FILM_STRIDE, 0, 0)


@pytest.mark.parametrize(
    ("source", "offset", "dmabufs"),
    [
        (SOURCE, OFFSET + FILM_STRIDE * (HEIGHT + 1), 1),
        (SOURCE, OFFSET + 5 * PAGE_SIZE + 256, 1),
        (OTHER_SOURCE, 3 * PAGE_SIZE + 256, 2),
    ],
    ids=["behind the first", "elsewhere in its pages", "in other pages"],
)
async def test_planes_are_added_where_they_are(
    client: ShowingWorld, source: int, offset: int, dmabufs: int
) -> None:
    chroma = FILM.planes[0]._replace(source=source, source_offset=offset)
    shown = client.ask(FILM._replace(planes=(chroma,)))
    assert shown.verdict is Verdict.YES
    client.send_pool(shown, CREATE_FILM, DESTROY_POOL)
    start = OFFSET - OFFSET % PAGE_SIZE if source == SOURCE else offset - offset % PAGE_SIZE
    expected = made_of()[: -len(added(0, 0))] + added(0, 512) + added(1, offset - start)
    assert await client.host.receive(len(expected)) == expected
    fds = client.host.take_fds()
    assert len(fds) == 2
    assert [os.fstat(fd).st_ino for fd in fds] == client.showing.inodes * (2 // dmabufs)
    assert len(client.showing.spans) == dmabufs
    for fd in fds:
        os.close(fd)


async def test_planes_of_several_fds_each_are_sent_in_order_with_what_is_around_them(
    client: ShowingWorld,
) -> None:
    first, second = client.ask(FILM), client.ask(USUAL._replace(buffer_id=BUFFER + 1))
    again = request("wl_shm", "create_pool", SHM, POOL + 3, None, 1)
    named = [Identifier(shown.identifier, IdentifierType.PAGES, 1) for shown in (first, second)]
    client.send(CREATE_POOL + CREATE_FILM + request("wl_display", "sync", 1, BUFFER + 1) + again, *named)
    await client.host.receive(len(made_of() + added(1, 0)) * 2)
    fds = client.host.take_fds()
    inodes = client.showing.inodes
    assert [os.fstat(fd).st_ino for fd in fds] == [inodes[0], inodes[0], inodes[1]]
    for fd in fds:
        os.close(fd)


async def test_a_client_that_leaves_leaves_no_planes(client: ShowingWorld) -> None:
    client.ask(FILM)
    named = Identifier(client.ask(FILM).identifier, IdentifierType.PAGES, 1)
    # Half of a message: its fds have come.
    client.send(CREATE_POOL[:8], named)


def film(
    *,
    source: int = SOURCE,
    stride: int = FILM_STRIDE,
    source_offset: int = FILM.planes[0].source_offset,
    key: bytes = KEY,
) -> ShowPages:
    """The film, with its second plane elsewhere."""
    return FILM._replace(planes=(ShowPlane(source, stride, source_offset, key),))


Change = Callable[[ShowPages], ShowPages]
MISTAKES: Final[list[tuple[str, Change]]] = [
    ("another key", lambda show: show._replace(key=bytes(KEY_SIZE))),
    ("no such pages", lambda show: show._replace(source=SOURCE + 9)),
    ("beyond the pages", lambda show: show._replace(source_offset=63 * PAGE_SIZE)),
    ("far beyond the pages", lambda show: show._replace(source_offset=(1 << 64) - PAGE_SIZE)),
    ("no width", lambda show: show._replace(width=0)),
    ("no height", lambda show: show._replace(height=0)),
    ("a huge width", lambda show: show._replace(width=1 << 31)),
    ("a row too long", lambda show: show._replace(width=WIDTH + 1)),
    ("no format", lambda show: show._replace(format=2)),
    ("a plane too few", lambda show: show._replace(format=fourcc("NV12"))),
    ("a plane too many", lambda show: show._replace(planes=FILM.planes)),
    ("a plane of a row too short", lambda _show: film(stride=FILM_STRIDE - 256)),
    ("a plane beyond the pages", lambda _show: film(source_offset=63 * PAGE_SIZE)),
    ("a plane far away", lambda _show: film(source_offset=(1 << 32) + OFFSET)),
    ("a plane of another key", lambda _show: film(key=bytes(KEY_SIZE))),
    ("a plane of no such pages", lambda _show: film(source=OTHER_SOURCE + 1)),
]


@pytest.mark.parametrize("change", [change for _, change in MISTAKES], ids=[name for name, _ in MISTAKES])
async def test_a_mistake_is_refused(client: ShowingWorld, change: Change) -> None:
    with pytest.raises(GuestFault):
        client.ask(change(USUAL))
    assert client.showing.inodes == []


async def test_pages_are_good_once(client: ShowingWorld) -> None:
    shown = client.ask()
    client.send_pool(shown)
    with pytest.raises(GuestFault, match="no shown pages"):
        client.send_pool(shown)


async def test_pages_travel_with_no_other_message(client: ShowingWorld) -> None:
    announced = event("wl_registry", "global", 2, 3, "wl_data_device_manager", 3)
    client.host.send(announced)
    await client.receive_bytes(len(announced))
    named = Identifier(client.ask().identifier, IdentifierType.PAGES, 1)
    requests = (
        request("wl_registry", "bind", 2, 3, "wl_data_device_manager", 3, 4),
        request("wl_registry", "bind", 2, 1, "wl_shm", 1, 5),
    )
    client.send(b"".join(requests))
    client.host.send(event("wl_data_device", "data_offer", 4, 0xFF000000))
    with pytest.raises(GuestFault):
        client.send(request("wl_data_offer", "receive", 0xFF000000, "text/plain", None), named)


OTHERS: Final = [
    request("wl_shm_pool", "create_buffer", POOL, BUFFER + 1, 0, WIDTH, HEIGHT, STRIDE, 1),
    request("wl_shm_pool", "create_buffer", POOL, BUFFER, 4, WIDTH, HEIGHT, STRIDE, 1),
    request("wl_shm_pool", "create_buffer", POOL, BUFFER, 0, WIDTH, HEIGHT + 1, STRIDE, 1),
    request("wl_shm_pool", "create_buffer", POOL, BUFFER, 0, WIDTH, HEIGHT, STRIDE, 0),
    request("wl_shm_pool", "resize", POOL, 1 << 20),
]


@pytest.mark.parametrize("other", OTHERS, ids=["id", "offset", "height", "format", "resize"])
async def test_no_other_buffer_can_be_made_of_shown_pages(client: ShowingWorld, other: bytes) -> None:
    with pytest.raises(GuestFault):
        client.send_pool(client.ask(), other)


async def test_an_id_that_leaves_a_hole_is_the_guests_fault(client: ShowingWorld) -> None:
    shown = client.ask(USUAL._replace(buffer_id=4000))
    with pytest.raises(GuestFault):
        client.send_pool(shown)


async def test_a_pool_and_a_buffer_of_one_id_are_the_guests_fault(client: ShowingWorld) -> None:
    shown = client.ask(USUAL._replace(buffer_id=POOL))
    with pytest.raises(GuestFault):
        client.send_pool(shown)


async def test_a_client_that_leaves_leaves_no_pages(client: ShowingWorld) -> None:
    client.ask()
    client.send_pool(client.ask())
