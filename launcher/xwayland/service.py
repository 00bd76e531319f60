"""The launcher's part of the X11 side: an X display, and a process for it when somebody connects.

Everything else is in that process (`launcher.xwayland.session`), so that whatever X clients do costs
the Wayland clients nothing, and so that nothing of it is loaded before it is needed.
"""

from __future__ import annotations

import os
import sys
import time

from crossdomain.errors import EnvironmentFault
from launcher import log
from launcher.loop import READABLE
from launcher.signals import SIGKILL, SIGPIPE, SIGTERM
from launcher.xwayland.authority import Authority
from launcher.xwayland.sockets import DisplaySockets

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from typing import Final

    from launcher.loop import Loop

_PROGRAM: Final = "Xwayland"
_EXIT_BROKEN: Final = 2
"""`session.EXIT_BROKEN`; the session's code is not loaded here."""
_STOP_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.005


class Settings:
    """What was asked for."""

    __slots__ = ("choice", "keeps_clipboard", "log_level", "runtime_directory", "scale", "wayland_display")

    def __init__(
        self,
        *,
        choice: str,
        scale: str,
        keeps_clipboard: bool,
        wayland_display: str,
        runtime_directory: str,
        log_level: str,
    ) -> None:
        """`choice` is auto, on or off, `scale` auto or a number.

        `wayland_display` is the path of the launcher's own Wayland socket.
        """
        self.choice = choice
        self.scale = scale
        self.keeps_clipboard = keeps_clipboard
        self.wayland_display = wayland_display
        self.runtime_directory = runtime_directory
        self.log_level = log_level


class Service:
    """An X display that is served when it is used; `close` ends it with all that belongs to it."""

    def __init__(self, loop: Loop, settings: Settings, sockets: DisplaySockets, authority: Authority) -> None:
        self._loop = loop
        self._settings = settings
        self._sockets = sockets
        self._authority = authority
        self._pid = 0
        self._pidfd = -1
        self._is_waiting = False
        self._is_explained = False
        self._wait()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead X clients here."""
        made = {"DISPLAY": self._sockets.name, "XAUTHORITY": self._authority.path}
        # Java's windows stay empty for ever otherwise: they wait until a window manager that AWT does not
        # know by its name has put them into frames of X's own.
        made["_JAVA_AWT_WM_NONREPARENTING"] = "1"
        token = os.environ.get("XDG_ACTIVATION_TOKEN")
        if token and "DESKTOP_STARTUP_ID" not in os.environ:
            # X11 applications know the same by another name.
            made["DESKTOP_STARTUP_ID"] = token
        return made

    def close(self) -> None:
        """Ends the process, if there is one, and removes sockets and cookie."""
        self._stop_waiting()
        if self._pidfd >= 0:
            self._loop.remove(self._pidfd)
            self._end_process()
        self._sockets.close()
        self._authority.close()

    def _wait(self) -> None:
        self._is_waiting = True
        for listener in self._sockets.listeners:
            self._loop.add(listener, READABLE, self._handle_client)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            for listener in self._sockets.listeners:
                self._loop.remove(listener)

    def _handle_client(self, _events: int) -> None:
        if not self._is_waiting:
            return
        self._stop_waiting()
        try:
            _find_program()
            self._start_process()
        except (EnvironmentFault, OSError) as error:
            self._explain(error)
            self._refuse()
            self._wait()

    def _explain(self, error: Exception) -> None:
        """Says once why X11 applications find nobody: those that can use Wayland go on without."""
        if not self._is_explained:
            self._is_explained = True
            hint = f": {error.hint}" if isinstance(error, EnvironmentFault) else ""
            log.error(f"an X11 application can't be served: {error}{hint}")

    def _start_process(self) -> None:
        fds = self._sockets.listeners
        settings = self._settings
        command = [sys.executable, "-P", "-m", "launcher.xwayland"]
        command += ["--display", str(self._sockets.number), "--listen", ",".join(map(str, fds))]
        command += ["--auth", self._authority.path, "--wayland", settings.wayland_display]
        command += ["--scale", settings.scale, "--log-level", settings.log_level]
        command += ["--keep-clipboard"] if settings.keeps_clipboard else []
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (_package_root(), environment.get("PYTHONPATH")))
        )
        for fd in fds:
            os.set_inheritable(fd, True)
        try:
            # A process group of its own: the terminal's keys are not meant for it.
            self._pid = os.posix_spawn(
                sys.executable, command, environment, setpgroup=0, setsigmask=(), setsigdef=(SIGPIPE,)
            )
        finally:
            for fd in fds:
                os.set_inheritable(fd, False)
        self._pidfd = os.pidfd_open(self._pid)
        self._loop.add(self._pidfd, READABLE, self._handle_end)
        log.info(f"starting {_PROGRAM} for display {self._sockets.name}")

    def _handle_end(self, _events: int) -> None:
        self._loop.remove(self._pidfd)
        status = self._reap()
        if status != 0:
            log.error(f"the X11 side has ended with status {status}; it is started again for the next client")
            if status != _EXIT_BROKEN:
                # Who waits now has waited for what did not work: trying again at once would not end.
                self._refuse()
        self._wait()

    def _refuse(self) -> None:
        """Lets the clients that wait see that nobody serves them."""
        import socket  # noqa: PLC0415 (rarely needed, and slow to load)

        for fd in self._sockets.listeners:
            listener = socket.socket(fileno=fd)
            try:
                while True:
                    listener.accept()[0].close()
            except OSError:
                listener.detach()

    def _end_process(self) -> None:
        """Ends the process and its Xwayland, gently at first."""
        # It is still to be waited for, so its number is not anybody else's.
        os.kill(self._pid, SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(_POLL_SECONDS)
        # Its group is there until it is waited for.
        os.killpg(self._pid, SIGKILL)
        self._reap()

    def _reap(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._pidfd = -1
        return os.waitstatus_to_exitcode(status)


def start(loop: Loop, settings: Settings) -> Service | None:
    """Makes an X display; None where there is to be none.

    Where it was not asked for (auto), Xwayland may be missing: who connects is told then.  Only a display
    that somebody else serves is better than that.
    Raises EnvironmentFault where it was asked for and can't be had.
    """
    if settings.choice == "off":
        return None
    try:
        if settings.choice == "on" or os.environ.get("DISPLAY"):
            _find_program()
        sockets = DisplaySockets(own_directory=settings.runtime_directory)
        try:
            authority = _create_authority(settings.runtime_directory, sockets.number)
        except EnvironmentFault:
            sockets.close()
            raise
    except EnvironmentFault as fault:
        if settings.choice == "on":
            raise
        log.info(f"without X11: {fault}")
        return None
    return Service(loop, settings, sockets, authority)


def _create_authority(directory: str, display: int) -> Authority:
    """Writes the file with the cookie."""
    try:
        return Authority(directory, display)
    except OSError as error:
        raise EnvironmentFault(
            f"no X11 cookie can be written in {directory!r}: {error.strerror}",
            hint="XDG_RUNTIME_DIR has to be a writable directory of this user's, or run with --x11 off",
        ) from None


def _find_program() -> None:
    for folder in os.get_exec_path():
        if os.access(os.path.join(folder, _PROGRAM), os.X_OK):
            return
    raise EnvironmentFault(
        f"{_PROGRAM} is not installed", hint="install the package xwayland, or run with --x11 off"
    )


def _package_root() -> str:
    """Returns the folder that this package was loaded from, which need not be an installed one."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
