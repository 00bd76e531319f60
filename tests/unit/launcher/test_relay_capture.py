"""Screenshots and recordings: what the compositor writes comes back to the client, as far as it is new."""

import os
import time
from collections.abc import Generator
from typing import Final

import pytest

from crossdomain.wire.codec import decode_arguments
from tests.unit.launcher.fake_channel import TABLES, FakeChannel, FakeMemory, RelayedClient, event, request

WIDTH: Final = 16
HEIGHT: Final = 8
STRIDE: Final = 4 * WIDTH
SIZE: Final = STRIDE * HEIGHT
WHOLE: Final = (0, 0, WIDTH, HEIGHT)
LEFT: Final = (0, 0, 4, HEIGHT)
TOP: Final = (0, 0, WIDTH, 2)
BOTTOM: Final = (0, 6, WIDTH, 2)


def painted(*layers: tuple[tuple[int, int, int, int], int]) -> bytes:
    """A picture of rectangles in one colour each, the last on top; 0 elsewhere."""
    pixels = bytearray(SIZE)
    for (x, y, width, height), byte in layers:
        for row in range(y, y + height):
            start = row * STRIDE + 4 * x
            pixels[start : start + 4 * width] = bytes([byte]) * 4 * width
    return bytes(pixels)


def acknowledge(client: RelayedClient) -> None:
    """Let the host answer the sync that was sent last."""
    callback_id = int.from_bytes(client.channel.sent[-4:], "little")
    client.channel.deliver(
        event("wl_callback", "done", callback_id, 0) + event("wl_display", "delete_id", 1, callback_id)
    )
    client.serve()


class Recorder:
    """A client with a pool of two buffers; subclasses know a protocol."""

    def __init__(self, client: RelayedClient) -> None:
        self.client = client
        self.output = client.bind("wl_output", 4)
        self.shm = client.bind("wl_shm", 1)
        self.fd = os.memfd_create("pool")
        os.ftruncate(self.fd, 2 * SIZE)
        self.pool = client.new_id()
        self.buffers = [client.new_id(), client.new_id()]
        client.say(
            request("wl_shm", "create_pool", self.shm, self.pool, None, 2 * SIZE), fds=[os.dup(self.fd)]
        )
        for number, buffer in enumerate(self.buffers):
            values = (buffer, number * SIZE, WIDTH, HEIGHT, STRIDE, 0)
            client.say(request("wl_shm_pool", "create_buffer", self.pool, *values))
        client.hear()

    def memory(self, number: int) -> FakeMemory:
        """Where the compositor writes for a buffer."""
        return self.client.channel.memories[number]

    def compose(self, number: int, byte: int) -> None:
        """Let the compositor fill a buffer with one colour."""
        self.memory(number).buffer[:SIZE] = bytes([byte]) * SIZE

    def shown(self, number: int) -> bytes:
        """What the client has in a buffer."""
        return os.pread(self.fd, SIZE, number * SIZE)

    def tell(self, *events: bytes) -> bytes:
        """Let the compositor say that; what the client hears."""
        self.client.channel.deliver(b"".join(events))
        return self.client.hear()

    def close(self) -> None:
        """Give the pool up."""
        os.close(self.fd)


class Wlr(Recorder):
    """Records through zwlr_screencopy_manager_v1."""

    def __init__(self, client: RelayedClient) -> None:
        super().__init__(client)
        self.manager = client.bind("zwlr_screencopy_manager_v1", 3)
        client.hear()

    def ask(
        self, number: int, *, damage: bool = True, overlay: int = 0, region: tuple[int, ...] | None = None
    ) -> int:
        """Ask for a frame in a buffer; the id of the frame."""
        frame = self.client.new_id()
        name = "capture_output" if region is None else "capture_output_region"
        self.client.say(
            request(
                "zwlr_screencopy_manager_v1", name, self.manager, frame, overlay, self.output, *(region or ())
            ),
            request(
                "zwlr_screencopy_frame_v1",
                "copy_with_damage" if damage else "copy",
                frame,
                self.buffers[number],
            ),
        )
        return frame

    def record(
        self,
        number: int,
        byte: int,
        new: tuple[int, int, int, int] | None = None,
        *,
        overlay: int = 0,
        region: tuple[int, ...] | None = None,
        flags: int = 0,
    ) -> None:
        """Get a frame of one colour into a buffer; `new` is its damage where it is asked for."""
        frame = self.ask(number, damage=new is not None, overlay=overlay, region=region)
        self.compose(number, byte)
        damage = b"" if new is None else event("zwlr_screencopy_frame_v1", "damage", frame, *new)
        self.tell(
            event("zwlr_screencopy_frame_v1", "flags", frame, flags),
            damage,
            event("zwlr_screencopy_frame_v1", "ready", frame, 0, 1, 0),
        )
        self.client.say(request("zwlr_screencopy_frame_v1", "destroy", frame))


class Ext(Recorder):
    """Records through ext_image_copy_capture_manager_v1."""

    def __init__(self, client: RelayedClient) -> None:
        super().__init__(client)
        sources = client.bind("ext_output_image_capture_source_manager_v1", 1)
        manager = client.bind("ext_image_copy_capture_manager_v1", 1)
        source, self.session = client.new_id(), client.new_id()
        client.say(
            request(
                "ext_output_image_capture_source_manager_v1", "create_source", sources, source, self.output
            ),
            request("ext_image_copy_capture_manager_v1", "create_session", manager, self.session, source, 0),
        )
        client.hear()

    def ask(self, number: int, old: tuple[int, int, int, int] = WHOLE) -> int:
        """Ask for a frame in a buffer of which that much is old; the id of the frame."""
        frame = self.client.new_id()
        name = "ext_image_copy_capture_frame_v1"
        self.client.say(
            request("ext_image_copy_capture_session_v1", "create_frame", self.session, frame),
            request(name, "attach_buffer", frame, self.buffers[number]),
            request(name, "damage_buffer", frame, *old),
            request(name, "capture", frame),
        )
        return frame

    def record(
        self, number: int, byte: int, new: tuple[int, int, int, int], old: tuple[int, int, int, int] = WHOLE
    ) -> None:
        """Get a frame of one colour into a buffer."""
        frame = self.ask(number, old)
        self.compose(number, byte)
        name = "ext_image_copy_capture_frame_v1"
        self.tell(event(name, "damage", frame, *new), event(name, "ready", frame))
        self.client.say(request(name, "destroy", frame))


class Weston(Recorder):
    """Takes screenshots through weston_capture_v1."""

    def __init__(self, client: RelayedClient) -> None:
        super().__init__(client)
        manager = client.bind("weston_capture_v1", 1)
        self.source = client.new_id()
        client.say(request("weston_capture_v1", "create", manager, self.output, 0, self.source))
        client.hear()

    def ask(self, number: int) -> int:
        """Ask for a screenshot in a buffer; the source's id."""
        self.client.say(request("weston_capture_source_v1", "capture", self.source, self.buffers[number]))
        return self.source


@pytest.fixture
def wlr(client: RelayedClient) -> Generator[Wlr]:
    made = Wlr(client)
    yield made
    made.close()


@pytest.fixture
def ext(client: RelayedClient) -> Generator[Ext]:
    made = Ext(client)
    yield made
    made.close()


@pytest.fixture
def weston(client: RelayedClient) -> Generator[Weston]:
    made = Weston(client)
    yield made
    made.close()


def create_surface(client: RelayedClient) -> int:
    """The id of a new wl_surface."""
    compositor = client.bind("wl_compositor", 4)
    surface = client.new_id()
    client.say(request("wl_compositor", "create_surface", compositor, surface))
    return surface


FIRST: Final = painted((WHOLE, 1))


def test_a_screenshot_is_there_when_it_is_ready(wlr: Wlr) -> None:
    frame = wlr.ask(0, damage=False)
    wlr.compose(0, 1)
    wlr.tell(event("zwlr_screencopy_frame_v1", "flags", frame, 0))
    assert wlr.shown(0) == bytes(SIZE)
    assert wlr.tell(event("zwlr_screencopy_frame_v1", "ready", frame, 0, 1, 0))
    assert wlr.shown(0) == FIRST


def test_only_what_is_new_comes_back_to_a_buffer_that_has_the_rest(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    wlr.record(0, 2, LEFT)
    assert wlr.shown(0) == painted((WHOLE, 1), (LEFT, 2))
    assert wlr.client.stats.totals().bytes_captured == SIZE + 4 * 4 * HEIGHT


def test_a_buffer_gets_what_it_missed_while_others_were_recorded(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    wlr.record(1, 2, LEFT)
    assert wlr.shown(1) == painted((WHOLE, 2))
    wlr.record(0, 3, TOP)
    assert wlr.shown(0) == painted((WHOLE, 1), (LEFT, 3), (TOP, 3))


def test_a_frame_that_does_not_tell_what_is_new_is_new_to_all_buffers(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    wlr.record(1, 2)
    wlr.record(0, 3, TOP)
    assert wlr.shown(0) == painted((WHOLE, 3))
    wlr.record(0, 4)
    wlr.record(0, 5, TOP)
    assert wlr.shown(0) == painted((WHOLE, 4), (TOP, 5))


def test_damage_of_another_view_says_nothing_of_this_one(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    wlr.record(1, 2, TOP, overlay=1)
    wlr.record(0, 3, TOP)
    assert wlr.shown(0) == painted((WHOLE, 3))


@pytest.mark.parametrize(("region", "flags"), [((5, 5, WIDTH, HEIGHT), 0), (None, 1)])
def test_frames_whose_damage_has_other_coordinates_come_back_whole(
    wlr: Wlr, region: tuple[int, ...] | None, flags: int
) -> None:
    for byte in (1, 2):
        wlr.record(0, byte, TOP, region=region, flags=flags)
        assert wlr.shown(0) == painted((WHOLE, byte))


def test_after_a_frame_that_failed_all_is_new(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    frame = wlr.ask(1)
    wlr.tell(event("zwlr_screencopy_frame_v1", "failed", frame))
    assert wlr.shown(1) == bytes(SIZE)
    wlr.record(0, 2, TOP)
    assert wlr.shown(0) == painted((WHOLE, 2))


def test_after_the_end_of_a_manager_all_is_new(wlr: Wlr) -> None:
    wlr.record(0, 1, WHOLE)
    wlr.client.say(request("zwlr_screencopy_manager_v1", "destroy", wlr.manager))
    wlr.manager = wlr.client.bind("zwlr_screencopy_manager_v1", 3)
    wlr.record(0, 2, TOP)
    assert wlr.shown(0) == painted((WHOLE, 2))


def test_a_buffer_that_was_shown_in_between_gets_all(wlr: Wlr) -> None:
    client = wlr.client
    surface = create_surface(client)
    wlr.record(0, 1, WHOLE)
    client.say(
        request("wl_surface", "attach", surface, wlr.buffers[0], 0, 0),
        request("wl_surface", "commit", surface),
    )
    wlr.record(0, 2, TOP)
    assert wlr.shown(0) == painted((WHOLE, 2))


def test_what_was_recorded_can_be_shown(wlr: Wlr) -> None:
    client = wlr.client
    surface = create_surface(client)
    wlr.record(0, 1, WHOLE)
    os.pwrite(wlr.fd, painted((LEFT, 9)), 0)
    client.say(
        request("wl_surface", "attach", surface, wlr.buffers[0], 0, 0),
        request("wl_surface", "damage_buffer", surface, *LEFT),
        request("wl_surface", "commit", surface),
    )
    assert wlr.memory(0).buffer[:SIZE] == painted((LEFT, 9))


def test_memory_that_may_still_be_written_is_given_to_no_other_buffer(wlr: Wlr) -> None:
    client = wlr.client
    frame = wlr.ask(0)
    client.say(request("wl_buffer", "destroy", wlr.buffers[0]))
    assert wlr.memory(0).closed
    wlr.tell(event("zwlr_screencopy_frame_v1", "ready", frame, 0, 1, 0))
    assert wlr.shown(0) == bytes(SIZE)
    assert not client.closed


def test_a_frame_that_is_given_up_holds_its_buffer_until_the_compositor_knows(wlr: Wlr) -> None:
    client = wlr.client
    for frame in (wlr.ask(0), wlr.ask(1)):
        client.say(request("zwlr_screencopy_frame_v1", "destroy", frame))
    acknowledge(client)  # of the first one
    for buffer in wlr.buffers:
        client.say(request("wl_buffer", "destroy", buffer))
    assert [memory.closed for memory in client.channel.memories] == [False, True]


def test_a_buffer_that_the_client_can_not_write_is_refused(wlr: Wlr) -> None:
    client = wlr.client
    reading = os.open(f"/proc/self/fd/{wlr.fd}", os.O_RDONLY)
    pool, wlr.buffers[0] = client.new_id(), client.new_id()
    client.say(request("wl_shm", "create_pool", wlr.shm, pool, None, SIZE), fds=[reading])
    client.say(request("wl_shm_pool", "create_buffer", pool, wlr.buffers[0], 0, WIDTH, HEIGHT, STRIDE, 0))
    wlr.ask(0)
    assert b"can't be written" in client.hear()


def test_a_file_that_was_cut_ends_its_client(wlr: Wlr) -> None:
    frame = wlr.ask(0)
    os.ftruncate(wlr.fd, 0)
    assert b"error accessing SHM buffer" in wlr.tell(
        event("zwlr_screencopy_frame_v1", "ready", frame, 0, 1, 0)
    )


def test_a_screenshot_is_not_offered_in_a_buffer_that_the_client_can_not_make(wlr: Wlr) -> None:
    frame = wlr.ask(0)
    kept = event("zwlr_screencopy_frame_v1", "buffer_done", frame)
    dropped = event("zwlr_screencopy_frame_v1", "linux_dmabuf", frame, 1, WIDTH, HEIGHT)
    assert wlr.tell(dropped, kept) == kept


def test_the_time_of_a_frame_is_the_guests() -> None:
    channel = FakeChannel()
    channel.clock_ahead = 1000 * 1_000_000_000
    client = RelayedClient(channel)
    wlr = Wlr(client)
    frame = wlr.ask(0)
    now = int(time.clock_gettime(time.CLOCK_MONOTONIC)) + 1000
    heard = wlr.tell(event("zwlr_screencopy_frame_v1", "ready", frame, 0, now, 0))
    seconds = decode_arguments(TABLES.interface("zwlr_screencopy_frame_v1").events[2], heard)[1]
    assert isinstance(seconds, int)
    assert abs(seconds + 1000 - now) <= 1
    wlr.close()
    client.close()


def test_what_either_side_calls_damage_comes_back(ext: Ext) -> None:
    ext.record(0, 1, WHOLE)
    ext.record(0, 2, LEFT, old=BOTTOM)
    assert ext.shown(0) == painted((WHOLE, 1), (LEFT, 2), (BOTTOM, 2))


def test_a_session_s_buffers_take_turns_though_the_client_tells_nothing(ext: Ext) -> None:
    ext.record(0, 1, WHOLE, old=(0, 0, 0, 0))
    ext.record(1, 2, LEFT, old=(0, 0, 0, 0))
    ext.record(0, 3, TOP, old=(0, 0, 0, 0))
    assert ext.shown(1) == painted((WHOLE, 2))
    assert ext.shown(0) == painted((WHOLE, 1), (LEFT, 3), (TOP, 3))


def test_what_the_compositor_leaves_alone_stays_as_the_client_has_it(ext: Ext) -> None:
    os.pwrite(ext.fd, painted((WHOLE, 7)), 0)
    frame = ext.ask(0, old=TOP)
    ext.memory(0).buffer[: 2 * STRIDE] = bytes([1]) * 2 * STRIDE
    ext.tell(
        event("ext_image_copy_capture_frame_v1", "damage", frame, *TOP),
        event("ext_image_copy_capture_frame_v1", "ready", frame),
    )
    assert ext.shown(0) == painted((WHOLE, 7), (TOP, 1))


def test_a_client_is_not_offered_buffers_that_it_can_not_make(ext: Ext) -> None:
    name = "ext_image_copy_capture_session_v1"
    kept = event(name, "shm_format", ext.session, 1)
    device = event(name, "dmabuf_device", ext.session, bytes(8))
    assert ext.tell(device, kept, event(name, "dmabuf_format", ext.session, 1, bytes(8))) == kept


def test_another_buffer_may_be_attached_instead(ext: Ext) -> None:
    client = ext.client
    name = "ext_image_copy_capture_frame_v1"
    frame = client.new_id()
    client.say(
        request("ext_image_copy_capture_session_v1", "create_frame", ext.session, frame),
        request(name, "attach_buffer", frame, ext.buffers[0]),
        request(name, "attach_buffer", frame, ext.buffers[1]),
        request(name, "capture", frame),
    )
    ext.compose(1, 5)
    ext.tell(event(name, "damage", frame, *WHOLE), event(name, "ready", frame))
    assert (ext.shown(0), ext.shown(1)) == (bytes(SIZE), painted((WHOLE, 5)))
    client.say(request("wl_buffer", "destroy", ext.buffers[0]))
    assert not ext.memory(0).closed


@pytest.mark.parametrize("outcome", ["retry", "failed"])
def test_a_screenshot_of_weston_is_whole_each_time(weston: Weston, outcome: str) -> None:
    name = "weston_capture_source_v1"
    for byte in (1, 2):
        weston.ask(0)
        weston.compose(0, byte)
        weston.tell(event(name, "complete", weston.source))
        assert weston.shown(0) == painted((WHOLE, byte))
    weston.ask(0)
    weston.compose(0, 3)
    weston.tell(event(name, outcome, weston.source, *([None] if outcome == "failed" else [])))
    assert weston.shown(0) == painted((WHOLE, 2))
