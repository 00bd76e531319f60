"""A headless GNOME Shell, and the person before it: one command a line on stdin, an answer on stdout.

Runs in a root that has both, within `dbus-run-session`.  Mutter's RemoteDesktop interface is the person's
pointer and keyboard, for as long as this lives; org.gnome.Shell.Screenshot is the eye.

    move X Y | button CODE 0|1 | key CODE 0|1 | picture FILE
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

_SECONDS: Final = 120.0
_FAR: Final = 10_000.0
"""px in any direction: more than any screen has."""
_SHELL: Final = "org.gnome.Shell"
_REMOTE: Final = "org.gnome.Mutter.RemoteDesktop"
_PICTURES: Final = "org.gnome.Shell.Screenshot"


class Person:
    """Its pointer and its keyboard."""

    def __init__(self, bus: Any, remote: Any, height: int) -> None:  # noqa: ANN401  # dbus-python has no types
        interface = import_module("dbus").Interface
        path = interface(remote, _REMOTE).CreateSession()
        self._session = interface(bus.get_object(_REMOTE, path), f"{_REMOTE}.Session")
        self._pictures = interface(bus.get_object(_PICTURES, "/org/gnome/Shell/Screenshot"), _PICTURES)
        self._session.Start()
        # The upper left corner would show all windows.
        self._session.NotifyPointerMotionRelative(-_FAR, 0.0)
        self._session.NotifyPointerMotionRelative(0.0, _FAR)
        self._place = (0, height - 1)

    def do(self, command: str, arguments: Sequence[str]) -> None:
        """One command."""
        if command == "picture":
            done, _file = self._pictures.Screenshot(False, False, arguments[0])
            assert done
            return
        first, second = (int(argument) for argument in arguments)
        if command == "move":
            self._session.NotifyPointerMotionRelative(
                float(first - self._place[0]), float(second - self._place[1])
            )
            self._place = (first, second)
        elif command == "button":
            self._session.NotifyPointerButton(first, bool(second))
        elif command == "key":
            self._session.NotifyKeyboardKeycode(first, bool(second))
        else:
            raise ValueError(command)


def main() -> None:
    """Serves until stdin ends; WIDTH HEIGHT and the name of the Wayland socket are the arguments."""
    width, height, name = sys.argv[1:]
    # The shell looks for services that a desktop has.  It does without them, but not without their bus.
    services = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
    )
    assert services.stdout is not None
    shell = subprocess.Popen(
        [
            "env", f"DBUS_SYSTEM_BUS_ADDRESS={services.stdout.readline().strip()}",
            "gnome-shell", "--headless", "--no-x11", "--unsafe-mode", f"--wayland-display={name}",
            f"--virtual-monitor={width}x{height}",
        ],
        stdin=subprocess.DEVNULL, stdout=sys.stderr,
    )  # fmt: skip
    try:
        bus = import_module("dbus").SessionBus()
        person = Person(bus, _await(bus, _REMOTE, shell), int(height))
        _show_desktop(bus.get_object(_SHELL, "/org/gnome/Shell"))
        print("ready", flush=True)
        for line in sys.stdin:
            command, *arguments = line.split()
            person.do(command, arguments)
            print("done", flush=True)
    finally:
        for process in (shell, services):
            process.kill()
            process.wait()


def _await(bus: Any, name: str, shell: subprocess.Popen[bytes]) -> Any:  # noqa: ANN401  # as above
    deadline = time.monotonic() + _SECONDS
    while not all(bus.name_has_owner(each) for each in (name, _PICTURES)):
        assert shell.poll() is None, f"gnome-shell ended with status {shell.returncode}"
        assert time.monotonic() < deadline, f"{name} is not there"
        time.sleep(0.05)
    return bus.get_object(name, "/" + name.replace(".", "/"))


def _show_desktop(shell: Any) -> None:  # noqa: ANN401  # as above
    """Ends the overview that the shell begins with, once it has begun."""
    properties = import_module("dbus").Interface(shell, "org.freedesktop.DBus.Properties")
    deadline = time.monotonic() + _SECONDS
    while shell.Eval("Main.layoutManager._startingUp", dbus_interface=_SHELL)[1] != "false":
        assert time.monotonic() < deadline, "the shell does not begin"
        time.sleep(0.05)
    while properties.Get(_SHELL, "OverviewActive"):
        assert time.monotonic() < deadline, "the overview stays"
        properties.Set(_SHELL, "OverviewActive", False)


if __name__ == "__main__":
    main()
