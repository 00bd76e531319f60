"""Titles and app ids carry the VM's name, whatever the guest says."""

import pytest

from crossdomain.context.edits import REQUEST
from crossdomain.context.labels import HANDLERS, clear, fill
from crossdomain.context.rules import Rules
from crossdomain.limits import MAX_TEXT
from crossdomain.wire import load
from tests.unit.context.test_requests import announce
from tests.unit.context.world import World, event, request

BASE, COMPOSITOR, SURFACE, XDG_SURFACE, TOPLEVEL = 3, 4, 5, 6, 7
LABELLED = Rules(title="[{vm}] {title}", app_id="{vm}.{app_id}")


def set_title(title: str) -> bytes:
    return request("xdg_toplevel", "set_title", TOPLEVEL, title)


def set_app_id(app_id: str) -> bytes:
    return request("xdg_toplevel", "set_app_id", TOPLEVEL, app_id)


MAKE = (
    request("wl_compositor", "create_surface", COMPOSITOR, SURFACE)
    + request("xdg_wm_base", "get_xdg_surface", BASE, XDG_SURFACE, SURFACE)
    + request("xdg_surface", "get_toplevel", XDG_SURFACE, TOPLEVEL)
)


@pytest.fixture
async def client(client: World) -> World:
    """A client that has bound what makes a window."""
    await announce(client, (1, "xdg_wm_base", 1), (2, "wl_compositor", 4))
    binds = request("wl_registry", "bind", 2, 1, "xdg_wm_base", 1, BASE) + request(
        "wl_registry", "bind", 2, 2, "wl_compositor", 4, COMPOSITOR
    )
    client.send(binds)
    await client.host.receive(len(binds))
    return client


async def sees(client: World, sent: bytes, expected: bytes) -> None:
    """Asserts what the compositor gets of `sent`."""
    client.send(sent)
    assert await client.host.receive(len(expected)) == expected


async def test_a_window_has_its_label_before_anything_else_happens_to_it(client: World) -> None:
    client.guest.rules = LABELLED
    await sees(client, MAKE, MAKE + set_title("[test]") + set_app_id("test"))


async def test_titles_and_app_ids_are_labelled(client: World) -> None:
    await sees(client, MAKE, MAKE)
    client.guest.rules = LABELLED
    await sees(client, set_title("foot"), set_title("[test] foot"))
    await sees(client, set_app_id("org.foot"), set_app_id("test.org.foot"))


async def test_new_rules_hold_for_the_next_title(client: World) -> None:
    await sees(client, MAKE + set_title("one"), MAKE + set_title("one"))
    client.guest.rules = Rules(title="{title} - {vm}")
    await sees(client, set_title("two"), set_title("two - test"))
    await sees(client, set_app_id("unchanged"), set_app_id("unchanged"))


async def test_another_vms_label_does_not_replace_ones_own(client: World) -> None:
    await sees(client, MAKE, MAKE)
    client.guest.rules = LABELLED
    await sees(client, set_title("[host] sudo"), set_title("[test] [host] sudo"))


async def bind_shell(client: World, interface: str) -> None:
    """One more global, bound as 6, with a surface that is 5."""
    client.host.send(event("wl_registry", "global", 2, 3, interface, 1))
    await client.receive()
    made = request("wl_compositor", "create_surface", COMPOSITOR, SURFACE)
    await sees(client, made, made)
    bind = request("wl_registry", "bind", 2, 3, interface, 1, 6)
    await sees(client, bind, bind)


async def test_windows_of_xdg_shell_v6_are_labelled(client: World) -> None:
    client.guest.rules = LABELLED
    await bind_shell(client, "zxdg_shell_v6")
    made = request("zxdg_shell_v6", "get_xdg_surface", 6, 7, SURFACE)
    made += request("zxdg_surface_v6", "get_toplevel", 7, 8)

    def says(name: str, value: str) -> bytes:
        return request("zxdg_toplevel_v6", name, 8, value)

    await sees(client, made, made + says("set_title", "[test]") + says("set_app_id", "test"))
    await sees(client, says("set_app_id", "a"), says("set_app_id", "test.a"))
    await sees(client, says("set_title", "b"), says("set_title", "[test] b"))


async def test_windows_of_wl_shell_are_labelled(client: World) -> None:
    client.guest.rules = LABELLED
    await bind_shell(client, "wl_shell")
    made = request("wl_shell", "get_shell_surface", 6, 7, SURFACE)

    def says(name: str, value: str) -> bytes:
        return request("wl_shell_surface", name, 7, value)

    await sees(client, made, made + says("set_title", "[test]") + says("set_class", "test"))
    await sees(client, says("set_class", "a"), says("set_class", "test.a"))
    await sees(client, says("set_title", "b"), says("set_title", "[test] b"))


async def test_what_is_too_long_is_cut_between_characters(client: World) -> None:
    client.guest.rules = LABELLED
    await sees(client, MAKE, MAKE + set_title("[test]") + set_app_id("test"))
    cut = (MAX_TEXT - len("[test] ")) // 3
    expected = set_title("[test] " + "\u20ac" * cut)
    await sees(client, set_title("\u20ac" * 20_000), expected)
    assert 4090 <= len(expected) <= 4096


def test_a_label_behind_the_title_is_never_cut_off() -> None:
    assert fill("{title} [{vm}]", "vm", "{title}", "x" * 10_000).endswith("x [vm]")


def test_a_title_of_the_exact_length_stays_whole() -> None:
    room = MAX_TEXT - len("[vm] ")
    assert fill("[{vm}] {title}", "vm", "{title}", "x" * room) == "[vm] " + "x" * room
    assert fill("[{vm}] {title}", "vm", "{title}", "x" * (room + 1)) == "[vm] " + "x" * room


CONTROLS = (
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    *"\x01\x07\x1b\x7f\x85\r\n\t\u2028\u2029\ufeff\u00ad\u2060\u200b\ufff9",
)
"""What moves, hides or ends text: directions, controls, separators, invisible characters."""


@pytest.mark.parametrize("character", CONTROLS, ids=lambda c: f"U+{ord(c):04X}")
def test_characters_that_could_fake_a_label_go(character: str) -> None:
    assert clear(f"a{character}b") in ("ab", "a b")


@pytest.mark.parametrize(
    "said",
    [
        "Z\u00fcrich",
        "\u65e5\u672c\u8a9e",
        "\u05e9\u05dc\u05d5\u05dd",
        "\U0001f468\u200d\U0001f469",
        "\u0646\u200c\u0647",
        "\ue0b0 prompt",
    ],
)
def test_text_of_any_script_stays(said: str) -> None:
    assert clear(said) == said


def test_bytes_that_are_no_utf8_become_question_marks() -> None:
    assert fill("[{vm}] {title}", "vm", "{title}", b"a\xffb".decode(errors="surrogateescape")) == "[vm] a?b"


def test_every_request_that_names_a_window_is_labelled() -> None:
    """A protocol that is added with another one has to be looked at."""
    named = {
        (interface.name, REQUEST, request.name)
        for interface in map(load().at, range(len(load())))
        for request in interface.requests
        if request.name in ("set_title", "set_app_id", "set_class")
    }
    # Its manager is shown to no guest.
    assert named - set(HANDLERS) == {("wp_security_context_v1", REQUEST, "set_app_id")}
