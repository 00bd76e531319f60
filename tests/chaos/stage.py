"""Who takes part in a chaos, and who falls with whom.

Two launchers serve clients, X11 ones too, and two VMs have clients of their own.  Each of the four has a
worker of the daemon, and is a *party*: what it loses, no other may notice.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import client_run
from tests.chaos.actors import PATIENCE, Actor, Client, Server, has_ended, named, parent_of, python
from tests.chaos.picture import READY
from tests.fakes.daemon import RunningDaemon, running_daemon
from tests.fakes.launcher import RunningLauncher, environment, running_launcher
from tests.fakes.weston import Weston, running_weston, wait_until

_DISPLAY: Final = "weston-under-test"
_SETTINGS: Final = '[vm.calm]\nsocket = "{0}/calm.sock"\nlocal_socket = "{0}/calm-local.sock"\n'
_TELL: Final = 'echo "$WAYLAND_DISPLAY"; echo "$DISPLAY"; echo "$XAUTHORITY"; exec cat >/dev/null'
"""A launcher's application: says where it serves, and stays."""
_FRAMES: Final = ("frames", "10000000", "16x16", "full", "paced", "2")
_TICKING: Final = 'echo up >"$1"; while echo; do sleep 0.02; done'
_CLIENTS: Final = 3
_CLIENTS_LOG: Final = "clients.log"


class Stage:
    """All of it; `start` begins what is missing."""

    def __init__(self, folder: Path) -> None:
        for name in ("compositor", "daemon", "busy", "calm"):
            (folder / name).mkdir(mode=0o700)
        self.folder = folder
        log = folder / _CLIENTS_LOG
        self._program = str(client_run.build(folder / "program"))
        self._x11: Mapping[str, str] = {}
        self.compositor: Server[Weston] = Server(
            "compositor", partial(running_weston, folder / "compositor", display=_DISPLAY)
        )
        self.supervisor: Server[RunningDaemon] = Server(
            "supervisor",
            lambda: running_daemon(
                folder / "daemon",
                folder / "compositor" / _DISPLAY,
                settings=_SETTINGS.format(folder / "daemon"),
            ),
        )
        self.busy = self._launcher("busy", "local.sock", "--x11=on")
        self.calm = self._launcher("calm", "calm-local.sock", "--x11=off")
        self.clients = [
            Client("client", log, lambda: [self._program, *_FRAMES], self._of_busy) for _ in range(_CLIENTS)
        ]
        self.terminal = Client("X11 client", log, self._terminal, self._of_busy)
        self.vm = self._machine("gpu.sock", 130, 130, 3)
        self.painter = Client("painter", log, lambda: python("tests.chaos.painter", 260, 120), self._of_calm)
        self.guest = self._machine("calm.sock", 120, 260, 1)

    @property
    def painters(self) -> dict[int, Client]:
        """Who shows colours, by the hue of theirs."""
        return {0xA1: self.painter, 0xB2: self.guest, 0xC3: self.vm}

    @property
    def parties(self) -> list[tuple[Actor, ...]]:
        """What falls with each worker."""
        return [(*self.clients, self.terminal), (self.painter,), (self.vm,), (self.guest,)]

    @property
    def everybody(self) -> Sequence[Actor]:
        """All actors; those that others need come first."""
        parties = [actor for party in self.parties for actor in party]
        return (self.compositor, self.supervisor, self.calm, self.busy, *parties)

    @property
    def fallen(self) -> list[Actor]:
        """Who has been started and has ended."""
        return [actor for actor in self.everybody if actor.pid and has_ended(actor.pid)]

    def start(self) -> None:
        """Starts what does not run; returns when all of it shows something."""
        for server in (self.compositor, self.supervisor, self.calm):
            server.start()
        if not self.busy.pid:
            self.busy.start()
            launcher = self.busy.running
            self._x11 = {"DISPLAY": launcher.read_line(), "XAUTHORITY": launcher.read_line()}
        if not self.terminal.pid:
            self._terminal_flag.unlink(missing_ok=True)
        beginners = [painter for painter in self.painters.values() if not painter.pid]
        for client in (*self.clients, self.terminal, *self.painters.values()):
            client.start()
        for painter in beginners:
            painter.wait_for_line(READY)
        wait_until(self._has_terminal, seconds=PATIENCE, what="the X11 terminal")

    def end(self) -> None:
        """Ends all of it, those that need others first."""
        for actor in reversed(self.everybody):
            actor.end()

    def _has_terminal(self) -> bool:
        """Whether it is on the screen; one that has ended is started again.

        An Xwayland ends some seconds after its last client, and takes along who has just connected.
        """
        if has_ended(self.terminal.pid):
            self.terminal.end()
            self.terminal.start()
        return self._terminal_flag.exists()

    @property
    def xwayland(self) -> int:
        """The busy launcher's X server; 0 while there is none."""
        return named(self.busy.pid, "Xwayland")

    @property
    def x11_session(self) -> int:
        """The busy launcher's process for X11."""
        return parent_of(self.xwayland)

    def last_words(self) -> str:
        """The ends of the logs."""
        names = ("daemon/daemon.log", "busy/launcher.log", "calm/launcher.log", "clients.log")
        paths = [self.folder / name for name in names]
        return "\n".join(f"{path}:\n{path.read_text()[-3000:]}" for path in paths if path.exists())

    @property
    def _terminal_flag(self) -> Path:
        """The terminal makes it when it is on the screen."""
        return self.folder / "terminal-is-up"

    def _launcher(self, name: str, socket: str, *options: str) -> Server[RunningLauncher]:
        return Server(
            f"{name} launcher",
            lambda: running_launcher(
                self.folder / name, self.folder / "daemon" / socket, *options, command=("sh", "-c", _TELL)
            ),
        )

    def _machine(self, socket: str, width: int, height: int, crowd: int) -> Client:
        path = self.folder / "daemon" / socket
        return Client(
            f"VM at {socket}",
            self.folder / _CLIENTS_LOG,
            lambda: python("tests.chaos.guest", path, width, height, crowd),
        )

    def _of_busy(self) -> dict[str, str]:
        launcher = self.busy.running
        return environment(launcher.runtime_dir, {"WAYLAND_DISPLAY": launcher.display, **self._x11})

    def _of_calm(self) -> dict[str, str]:
        launcher = self.calm.running
        return environment(launcher.runtime_dir, {"WAYLAND_DISPLAY": launcher.display})

    def _terminal(self) -> list[str]:
        return ["xterm", "-geometry", "3x2", "-e", "sh", "-c", _TICKING, "sh", str(self._terminal_flag)]
