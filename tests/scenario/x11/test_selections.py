"""Copy and paste between X11 and Wayland applications."""

import contextlib
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest
from Xlib import X

from crossdomain.vm.seat import View
from tests.fakes.client import FakeClient
from tests.fakes.clipboard import Paster
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window
from tests.fakes.x11 import PATIENCE, X11Desktop

HUGE: Final = 256 << 20
HUGE_PATIENCE: Final = 4 * PATIENCE
"""Seconds for so much, which takes several on a machine that does nothing else."""


@pytest.fixture
def window(desktop: X11Desktop) -> View:
    """An X window that has the keyboard, and with it all that the compositor has to say of selections."""
    desktop.start("xterm", "-T", "keyboard")
    shown = desktop.window("keyboard")
    desktop.click(shown, 50, 50)
    with desktop.client() as client:
        desktop.wait(lambda: client.active_title() == "keyboard", "the keyboard")
    return shown


def copy_from_x(desktop: X11Desktop, data: bytes, target: str = "UTF8_STRING") -> None:
    """Make xclip own the clipboard until somebody else does."""
    process = subprocess.Popen(
        ["xclip", "-selection", "clipboard", "-i", "-t", target, "-quiet"],
        env=desktop.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    desktop.adopt(process)
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.close()


def paste_in_wayland(desktop: X11Desktop, *options: str, seconds: float = PATIENCE) -> bytes:
    """What a Wayland application gets."""
    return subprocess.run(
        ["wl-paste", "-n", *options],
        env=desktop.wayland_environment,
        capture_output=True,
        timeout=seconds,
        check=False,
    ).stdout


def copy_from_wayland(desktop: X11Desktop, data: bytes, *options: str) -> None:
    """Make a Wayland application own the clipboard."""
    process = subprocess.Popen(
        ["wl-copy", "--foreground", *options], env=desktop.wayland_environment, stdin=subprocess.PIPE
    )
    desktop.adopt(process)
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.close()


def copy_from_wayland_and_return(desktop: X11Desktop, window: View, data: bytes, *options: str) -> None:
    """Make a Wayland application own the clipboard, and give the keyboard back to the X window."""
    copy_from_wayland(desktop, data, *options)
    desktop.click(window, 60, 60)


def paste_in_x(desktop: X11Desktop, target: str = "UTF8_STRING", *, seconds: float = PATIENCE) -> bytes:
    """What an X application gets."""
    return subprocess.run(
        ["xclip", "-selection", "clipboard", "-o", "-t", target],
        env=desktop.environment,
        capture_output=True,
        timeout=seconds,
        check=False,
    ).stdout


def digest(data: bytes) -> str:
    """What differs where data differ, and is short enough for a message."""
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()}"


@pytest.mark.usefixtures("window")
def test_text_from_x_to_wayland(desktop: X11Desktop) -> None:
    copy_from_x(desktop, "grün €".encode())
    desktop.wait(lambda: paste_in_wayland(desktop) == "grün €".encode(), "the text")


@pytest.mark.usefixtures("window")
def test_latin_text_from_x_is_utf8_in_wayland(desktop: X11Desktop) -> None:
    copy_from_x(desktop, b"gr\xfcn", "STRING")
    desktop.wait(
        lambda: paste_in_wayland(desktop, "-t", "text/plain;charset=utf-8") == "grün".encode(), "the text"
    )


@pytest.mark.usefixtures("window")
def test_old_texts_from_x_are_utf8_in_wayland(desktop: X11Desktop) -> None:
    copy_from_x(desktop, b"gr\xfcn \x1b%G\xe2\x82\xac\x1b%@", "COMPOUND_TEXT")
    desktop.wait(lambda: paste_in_wayland(desktop) == "grün €".encode(), "the text")


@pytest.mark.usefixtures("window")
def test_a_quarter_of_a_gigabyte_from_x_arrives_whole(desktop: X11Desktop) -> None:
    picture = os.urandom(HUGE)
    copy_from_x(desktop, picture, "image/png")
    desktop.wait(lambda: b"image/png" in paste_in_wayland(desktop, "-l"), "its kind")
    pasted = paste_in_wayland(desktop, "-t", "image/png", seconds=HUGE_PATIENCE)
    assert digest(pasted) == digest(picture)


def test_text_from_wayland_to_x(desktop: X11Desktop, window: View) -> None:
    copy_from_wayland_and_return(desktop, window, "grün €".encode())
    desktop.wait(lambda: paste_in_x(desktop) == "grün €".encode(), "the text")
    assert paste_in_x(desktop, "STRING") == b"gr\xfcn ?"
    assert paste_in_x(desktop, "COMPOUND_TEXT") == b"\x1b%G" + "grün €".encode() + b"\x1b%@"


def test_a_quarter_of_a_gigabyte_from_wayland_arrives_whole(desktop: X11Desktop, window: View) -> None:
    picture = os.urandom(HUGE)
    copy_from_wayland_and_return(desktop, window, picture, "-t", "image/bmp")
    desktop.wait(lambda: b"image/bmp" in paste_in_x(desktop, "TARGETS"), "its kind")
    assert digest(paste_in_x(desktop, "image/bmp", seconds=HUGE_PATIENCE)) == digest(picture)


def test_files_keep_their_kind(desktop: X11Desktop, window: View) -> None:
    files = b"file:///tmp/a%20b\r\n"
    copy_from_wayland_and_return(desktop, window, files, "-t", "text/uri-list")
    desktop.wait(lambda: paste_in_x(desktop, "text/uri-list") == files, "the files")


@pytest.mark.usefixtures("window")
def test_files_from_x_keep_their_kind(desktop: X11Desktop) -> None:
    files = b"file:///tmp/a%20b\r\nfile:///tmp/c\r\n"
    copy_from_x(desktop, files, "text/uri-list")
    desktop.wait(lambda: paste_in_wayland(desktop, "-t", "text/uri-list") == files, "the files")


@pytest.mark.usefixtures("window")
def test_fifty_pastes_from_x_at_once(desktop: X11Desktop) -> None:
    text = os.urandom(150_000).hex().encode()
    copy_from_x(desktop, text)
    with contextlib.closing(Paster(desktop.launcher.socket)) as paster:
        paster.wait_offer()
        ends = [paster.paste() for _ in range(50)]
        with ThreadPoolExecutor(len(ends)) as readers:
            pasted = list(readers.map(read_whole, ends))
    assert {digest(each) for each in pasted} == {digest(text)}


def read_whole(fd: int) -> bytes:
    """What comes out of a pipe, which is closed then."""
    with open(fd, "rb") as reader:
        return reader.read()


def test_many_pastes_at_once(desktop: X11Desktop, window: View) -> None:
    picture = os.urandom(1 << 20)
    copy_from_wayland_and_return(desktop, window, picture, "-t", "image/png")
    desktop.wait(lambda: b"image/png" in paste_in_x(desktop, "TARGETS"), "its kind")
    command = ["xclip", "-selection", "clipboard", "-o", "-t", "image/png"]
    processes = [
        subprocess.Popen(command, env=desktop.environment, stdout=subprocess.PIPE) for _ in range(20)
    ]
    pasted = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert {digest(each) for each in pasted} == {digest(picture)}


def test_a_reader_that_stops_does_not_stop_the_others(desktop: X11Desktop, window: View) -> None:
    """With an owner that serves several at a time, as toolkits do (xclip does not)."""
    script = (
        "import tkinter; r = tkinter.Tk(); r.title('owner'); r.clipboard_append('x' * 3000000); r.mainloop()"
    )
    desktop.start("/usr/bin/python3", "-c", script)
    desktop.window("owner")
    desktop.wait(lambda: b"UTF8_STRING" in paste_in_wayland(desktop, "-l"), "its kind")
    stuck = subprocess.Popen(["wl-paste", "-n"], env=desktop.wayland_environment, stdout=subprocess.PIPE)
    desktop.adopt(stuck)
    assert stuck.stdout is not None
    assert stuck.stdout.read(10) == b"x" * 10
    desktop.click(window, 60, 60)
    assert len(paste_in_wayland(desktop)) == 3000000


def test_a_paste_that_stops_does_not_stop_the_others(desktop: X11Desktop, window: View) -> None:
    picture = os.urandom(3 << 20)
    copy_from_wayland_and_return(desktop, window, picture, "-t", "image/png")
    desktop.wait(lambda: b"image/png" in paste_in_x(desktop, "TARGETS"), "its kind")
    command = ["xclip", "-selection", "clipboard", "-o", "-t", "image/png"]
    stuck = subprocess.Popen(command, env=desktop.environment, stdout=subprocess.PIPE)
    desktop.adopt(stuck)
    assert stuck.stdout is not None
    assert stuck.stdout.read(10) == picture[:10]
    assert digest(paste_in_x(desktop, "image/png")) == digest(picture)


@pytest.mark.usefixtures("window")
def test_an_owner_that_does_not_answer_is_forgotten_with_the_next(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        client.own("CLIPBOARD", client.create_window())
        client.wait(X.SelectionRequest, "the question what there is")
        copy_from_x(desktop, b"next")
        desktop.wait(lambda: paste_in_wayland(desktop) == b"next", "the text")


@pytest.mark.usefixtures("window")
def test_an_owner_that_quits_in_the_middle_ends_the_paste(desktop: X11Desktop) -> None:
    with desktop.client() as client:
        client.own("CLIPBOARD", client.create_window())
        client.answer_targets(client.wait(X.SelectionRequest, "TARGETS"), "TARGETS", "image/gif")
        # Weston takes a copy of its own.
        request = client.wait(X.SelectionRequest, "what Weston wants")
        client.answer(request, "image/gif", 8, b"GIF")
        command = ["wl-paste", "-n", "-t", "image/gif"]
        paste = subprocess.Popen(command, env=desktop.wayland_environment, stdout=subprocess.PIPE)
        desktop.adopt(paste)
        request = client.wait(X.SelectionRequest, "what is pasted")
        client.window(request.requestor.id).change_attributes(event_mask=X.PropertyChangeMask)
        client.answer(request, "INCR", 32, [9])
        client.wait(X.PropertyNotify, "INCR")
        client.wait(X.PropertyNotify, "that it was read")
        client.window(request.requestor.id).change_property(
            request.property, client.atom("image/gif"), 8, b"GIF8"
        )
        client.wait(X.PropertyNotify, "the first piece")
    assert paste.communicate(timeout=PATIENCE)[0] == b"GIF8"


def test_several_kinds_in_one_request(desktop: X11Desktop, window: View) -> None:
    """MULTIPLE (ICCCM 2.6.2), as Xt asks."""
    copy_from_wayland_and_return(desktop, window, "grün".encode())
    desktop.wait(lambda: paste_in_x(desktop) == "grün".encode(), "the text")
    with desktop.client() as client:
        requestor = client.create_window()
        names = ("UTF8_STRING", "ONE", "application/nothing", "TWO", "STRING", "THREE")
        client.set_words(requestor, "PAIRS", "ATOM_PAIR", [client.atom(name) for name in names])
        client.window(requestor).convert_selection(
            client.atom("CLIPBOARD"), client.atom("MULTIPLE"), client.atom("PAIRS"), X.CurrentTime
        )
        client.display.flush()
        client.wait(X.SelectionNotify, "the answer")
        found = client.window(requestor).get_full_property
        assert found(client.atom("ONE"), X.AnyPropertyType).value == "grün".encode()
        assert found(client.atom("THREE"), X.AnyPropertyType).value == b"gr\xfcn"
        pairs = found(client.atom("PAIRS"), X.AnyPropertyType).value
        assert [client.name(atom) if atom else "" for atom in pairs] == [*names[:3], "", *names[4:]]


def test_a_paste_into_the_root_window_costs_no_window_its_manager(desktop: X11Desktop, window: View) -> None:
    """What the window manager hears of the root is its own, whoever asks for a selection there."""
    copy_from_wayland_and_return(desktop, window, bytes(1 << 20), "-t", "image/png")
    desktop.wait(lambda: b"image/png" in paste_in_x(desktop, "TARGETS"), "the picture")
    with desktop.client() as client:
        root, place = client.window(client.root), client.atom("PLACE")
        root.convert_selection(client.atom("CLIPBOARD"), client.atom("image/png"), place, X.CurrentTime)
        client.display.flush()
        desktop.wait(lambda: place in root.list_properties(), "the size of the picture")
        root.delete_property(place)
        later = client.create_window(title="later")
        client.window(later).map()
        client.display.sync()
        desktop.window("later")
        root.delete_property(place)
        client.display.sync()


def test_what_the_compositor_keeps_can_be_pasted_in_x_when_its_owner_has_quit(
    desktop: X11Desktop, window: View
) -> None:
    """Weston keeps texts itself."""
    copy_from_x(desktop, b"kept")
    desktop.wait(lambda: paste_in_wayland(desktop) == b"kept", "the text")
    desktop.end_adopted()
    desktop.click(window, 60, 60)
    desktop.wait(lambda: paste_in_x(desktop) == b"kept", "the text")


def test_from_one_x_client_to_another_it_stays_in_x(desktop: X11Desktop, window: View) -> None:
    copy_from_x(desktop, b"among us")
    desktop.click(window, 60, 60)
    desktop.wait(lambda: paste_in_x(desktop) == b"among us", "the text")


def test_what_is_copied_in_x_without_the_keyboard_counts_from_the_next_click_on(
    desktop: X11Desktop, window: View
) -> None:
    """A command in a Wayland terminal, after something was copied there: no serial of ours is new enough."""
    with FakeClient(desktop.launcher.socket) as client, desktop.client() as observer:
        buffer = solid_buffer(client, 200, 100, "806040")
        Window(client, title="elsewhere").show(buffer)
        elsewhere = desktop.place(desktop.window("elsewhere"), 500, 400)
        copy_from_wayland(desktop, b"older", "-t", "application/x-older")
        desktop.wait(lambda: paste_in_wayland(desktop, "-l") == b"application/x-older\n", "the older one")
        desktop.click(elsewhere, 50, 50)
        desktop.wait(lambda: observer.active_title() == "", "no X window has the keyboard")
        copy_from_x(desktop, b"newer")
        desktop.wait(lambda: paste_in_x(desktop) == b"newer", "the newer one in X")
        buffer.pool.close()
    desktop.click(window, 60, 60)
    desktop.wait(lambda: paste_in_wayland(desktop) == b"newer", "the newer one everywhere")
    assert paste_in_x(desktop) == b"newer"


def test_every_copy_counts_whenever_others_take_the_keyboard(desktop: X11Desktop, window: View) -> None:
    """Commands that paste on the host open windows: the keyboard may be gone while something is copied."""
    host = {**os.environ, **desktop.weston.environment}

    def host_has(data: bytes) -> bool:
        pasted = subprocess.run(["wl-paste", "-n"], env=host, capture_output=True, check=False)
        return pasted.stdout == data

    for turn in range(20):
        in_x, on_host = b"from X %d" % turn, b"from the host %d" % turn
        copy_from_x(desktop, in_x)
        desktop.wait(partial(host_has, in_x), f"what was copied in X {turn}")
        desktop.adopt(subprocess.Popen(["wl-copy", "--foreground", on_host], env=host))
        desktop.wait(partial(host_has, on_host), "the host's copy")
        desktop.click(window, 60, 60)
