"""The messages that the relay writes out by hand are those of the tables."""

from launcher.relay import encode
from tests.unit.launcher.fake_channel import event, request


def test_requests_are_those_of_the_tables() -> None:
    assert encode.sync(9) == request("wl_display", "sync", 1, 9)
    assert encode.create_pool(3, 9, 4096) == request("wl_shm", "create_pool", 3, 9, None, 4096)
    assert encode.create_buffer(9, 4, 5, 6, 7, 0x34325258) == request(
        "wl_shm_pool", "create_buffer", 9, 4, 0, 5, 6, 7, 0x34325258
    )
    assert encode.destroy_pool(9) == request("wl_shm_pool", "destroy", 9)
    assert encode.release_shm(3) == request("wl_shm", "release", 3)
    hidden = request("wl_surface", "attach", 3, 0, 0, 0) + request("wl_surface", "commit", 3)
    assert encode.show_nothing(3) == hidden


def test_events_are_those_of_the_tables() -> None:
    assert encode.delete_id(9) == event("wl_display", "delete_id", 1, 9)
    assert encode.display_error(9, 2, "no") == event("wl_display", "error", 1, 9, 2, "no")
    assert encode.display_error(9, 2, "four") == event("wl_display", "error", 1, 9, 2, "four")


def test_an_errors_text_is_cut_and_has_no_nul() -> None:
    assert len(encode.display_error(1, 0, "x" * 100_000)) < 1100
    assert encode.display_error(1, 0, "a\0b") == event("wl_display", "error", 1, 1, 0, "a?b")
