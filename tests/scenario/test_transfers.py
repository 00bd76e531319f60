"""Copying and dragging between a VM and a real sway, as the host's settings allow it."""

import json
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.context.rules import MARK_PREFIX
from crossdomain.vm.seat import BUTTON_LEFT
from tests.fakes.client import FakeClient, Proxy, integer
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import running_launcher
from tests.fakes.selections import Offered, Protocol, Selection, data_control
from tests.fakes.sway import Sway
from tests.scenario.test_drag import CONTENTS as DRAGGED
from tests.scenario.test_drag import Dragging, drag

CONTENTS: Final = {"text/plain": b"secret", "text/html": b"<b>secret</b>"}
CONTROLS: Final = [data_control("zwlr"), data_control("zwlr", primary=True)]


def settings(*lines: str) -> str:
    """For the local socket's clients, who need no focus for their clipboard."""
    return "\n".join(("[local]", 'allow = ["data-control"]', *lines, ""))


class Desktop(NamedTuple):
    """Both sides: where their clients connect."""

    sway: Sway
    daemon: RunningDaemon
    guest_socket: str
    stack: ExitStack

    def guest(self) -> FakeClient:
        """A client in the VM."""
        return self.stack.enter_context(FakeClient(self.guest_socket))

    def host(self) -> FakeClient:
        """A client on the desktop."""
        return self.stack.enter_context(FakeClient(str(self.sway.socket_path)))


@contextmanager
def desktop(sway: Sway, folder: Path, *lines: str) -> Generator[Desktop]:
    """Sway, and a VM with these settings."""
    with (
        running_daemon(folder, sway.socket_path, settings=settings(*lines)) as daemon,
        running_launcher(folder, daemon.local_socket) as launcher,
        ExitStack() as stack,
    ):
        yield Desktop(sway, daemon, launcher.socket, stack)
        daemon.assert_alive()


def read_now(client: FakeClient, offer: Proxy, mime_type: str) -> bytes:
    """All that a paste gives, for a source whose client does not have to do anything."""
    reading, writing = os.pipe()
    offer.send("receive", mime_type, writing)
    os.close(writing)
    client.flush()
    with open(reading, "rb") as pipe:
        return pipe.read()


def offer_of(selection: Selection, offered: Offered) -> Proxy:
    """The offer of what was copied on the other side, when it has come."""
    selection.client.wait(lambda: offered.mark in selection.mime_types, what="the offer")
    assert selection.offer is not None
    return selection.offer


controls = pytest.mark.parametrize("control", CONTROLS, ids=["clipboard", "primary"])


@controls
@pytest.mark.parametrize("flow", ["deny", "to-host"])
def test_the_vm_does_not_even_see_what_the_desktop_copies(
    sway: Sway, runtime_dir: Path, flow: str, control: Protocol
) -> None:
    with desktop(sway, runtime_dir, f'clipboard = "{flow}"') as desk:
        pasting = Selection(desk.guest(), control)
        offered = Selection(desk.host(), control).set(CONTENTS)
        offered.source.client.round_trip()
        pasting.client.wait(lambda: pasting.offer is not None, what="an offer")
        assert pasting.offer is not None
        assert pasting.mime_types == set()
        assert read_now(pasting.client, pasting.offer, "text/plain") == b""
        assert offered.pastes == 0


@controls
@pytest.mark.parametrize("flow", ["deny", "to-guest"])
def test_the_desktop_gets_nothing_that_the_vm_copies(
    sway: Sway, runtime_dir: Path, flow: str, control: Protocol
) -> None:
    with desktop(sway, runtime_dir, f'clipboard = "{flow}"') as desk:
        offered = Selection(desk.guest(), control).set(CONTENTS)
        pasting = Selection(desk.host(), control)
        assert read_now(pasting.client, offer_of(pasting, offered), "text/plain") == b""
        offered.source.client.round_trip()
        assert offered.pastes == 0


@pytest.mark.parametrize(
    ("flow", "copies", "pastes"),
    [("to-host", "guest", "host"), ("to-guest", "host", "guest"), ("deny", "guest", "guest")],
    ids=["to-host", "to-guest", "inside"],
)
@controls
def test_what_is_allowed_arrives(
    sway: Sway, runtime_dir: Path, flow: str, copies: str, pastes: str, control: Protocol
) -> None:
    with desktop(sway, runtime_dir, f'clipboard = "{flow}"') as desk:
        clients = {"guest": desk.guest, "host": desk.host}
        offered = Selection(clients[copies](), control).set(CONTENTS)
        pasting = Selection(clients[pastes](), control)
        for mime_type, contents in CONTENTS.items():
            assert pasting.paste(offered, mime_type) == contents


def test_only_the_desktop_sees_how_the_vms_own_copies_are_told(sway: Sway, runtime_dir: Path) -> None:
    with desktop(sway, runtime_dir, 'clipboard = "to-host"') as desk:
        offered = Selection(desk.guest(), CONTROLS[0]).set(CONTENTS)
        types = {*CONTENTS, offered.mark}
        for client, marks in ((desk.guest(), 0), (desk.host(), 1)):
            pasting = Selection(client, CONTROLS[0])
            offer_of(pasting, offered)
            others = [str(mime_type) for mime_type in pasting.mime_types - types]
            assert [mime_type.startswith(MARK_PREFIX) for mime_type in others] == [True] * marks


def test_new_settings_hold_for_what_is_copied_next(sway: Sway, runtime_dir: Path) -> None:
    control = CONTROLS[0]
    with desktop(sway, runtime_dir) as desk:
        copying, pasting = Selection(desk.host(), control), Selection(desk.guest(), control)
        assert pasting.paste(copying.set(CONTENTS), "text/plain") == CONTENTS["text/plain"]
        desk.daemon.reload(settings('clipboard = "deny"'))
        before = pasting.offer
        copying.set(CONTENTS)
        pasting.client.wait(lambda: pasting.offer not in (None, before), what="another offer")
        assert pasting.mime_types == set()


def asking(folder: Path) -> tuple[str, str]:
    """Settings that ask a program, which says yes where there is a file `yes`."""
    script = f'echo "$*" >> {folder}/asked; test -e {folder}/yes'
    words = ["sh", "-c", script, "ask", "{vm}", "{direction}", "{type}"]
    return 'clipboard = "ask"', f"ask_command = {json.dumps(words)}"


@pytest.mark.parametrize(
    ("copies", "pastes", "direction"), [("guest", "host", "to-host"), ("host", "guest", "to-guest")]
)
def test_a_yes_lets_data_through(
    sway: Sway, runtime_dir: Path, copies: str, pastes: str, direction: str
) -> None:
    (runtime_dir / "yes").touch()
    with desktop(sway, runtime_dir, *asking(runtime_dir)) as desk:
        clients = {"guest": desk.guest, "host": desk.host}
        offered = Selection(clients[copies](), CONTROLS[0]).set(CONTENTS)
        pasting = Selection(clients[pastes](), CONTROLS[0])
        for mime_type, contents in CONTENTS.items():
            assert pasting.paste(offered, mime_type) == contents
    assert (runtime_dir / "asked").read_text() == f"local {direction} text/plain\n"


@pytest.mark.parametrize(
    ("copies", "pastes", "direction"), [("guest", "host", "to-host"), ("host", "guest", "to-guest")]
)
def test_a_no_is_an_empty_paste(
    sway: Sway, runtime_dir: Path, copies: str, pastes: str, direction: str
) -> None:
    with desktop(sway, runtime_dir, *asking(runtime_dir)) as desk:
        clients = {"guest": desk.guest, "host": desk.host}
        offered = Selection(clients[copies](), CONTROLS[0]).set(CONTENTS)
        pasting = Selection(clients[pastes](), CONTROLS[0])
        assert read_now(pasting.client, offer_of(pasting, offered), "text/plain") == b""
        assert offered.pastes == 0
    assert (runtime_dir / "asked").read_text() == f"local {direction} text/plain\n"


def drag_over(source: Dragging, target: Dragging, sway: Sway) -> tuple[Offered, Proxy]:
    """Drags from one window over the other; what is dragged, and how the target sees it."""
    for side in (source, target):
        side.show(sway)
    sway.seat.move_pointer(sway.size[0] // 4, sway.size[1] // 2)
    sway.seat.button(BUTTON_LEFT, pressed=True)
    source.client.wait(lambda: bool(source.pointer.received("button")), what="a button")
    offered = source.start(integer(source.pointer.received("button")[0][0]), with_icon=False)
    sway.seat.move_pointer(sway.size[0] * 3 // 4, sway.size[1] // 2)
    return offered, target.wait_entered()


@contextmanager
def windows(*sockets: str) -> Generator[list[Dragging]]:
    """Two windows beside each other, the first one left."""
    sides: list[Dragging] = []
    try:
        for socket in sockets:
            side = Dragging(FakeClient(socket), "window")
            sides.append(side)
            side.window.show(side.buffer(32, 32))
        yield sides
    finally:
        for side in sides:
            side.close()


@pytest.mark.parametrize(("origin", "shown"), [("host", False), ("guest", True)])
def test_what_is_dragged_does_not_cross_where_that_is_denied(
    sway: Sway, runtime_dir: Path, origin: str, shown: bool
) -> None:
    with desktop(sway, runtime_dir, 'drag_and_drop = "deny"') as desk:
        sockets = {"host": str(sway.socket_path), "guest": desk.guest_socket}
        goal = {"host": "guest", "guest": "host"}[origin]
        with windows(sockets[origin], sockets[goal]) as (source, target):
            offered, offer = drag_over(source, target, sway)
            assert bool(offer.received("offer")) is shown
            assert read_now(target.client, offer, next(iter(DRAGGED))) == b""
            sway.seat.button(BUTTON_LEFT, pressed=False)
            source.client.round_trip()
            assert offered.pastes == 0


def test_what_is_dragged_inside_the_vm_arrives(sway: Sway, runtime_dir: Path) -> None:
    with (
        desktop(sway, runtime_dir, 'drag_and_drop = "deny"') as desk,
        windows(desk.guest_socket, desk.guest_socket) as (source, target),
    ):
        assert drag(source, target, sway, with_icon=True) == DRAGGED
