"""crossdomain-run: starts an application and serves its windows until it ends; or serves a whole session.

The application starts as soon as it can find us and the way to the host is known to work.  What serves its
windows (`launcher.serving`) is loaded while it gets ready for them itself.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from crossdomain.errors import CrossDomainError, EnvironmentFault
from launcher import log, options
from launcher.application import Application, raise_fd_limit
from launcher.display import DisplaySocket, RuntimeDirectory
from launcher.execution import StartError
from launcher.loop import Loop
from launcher.options import UsageError

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from launcher.channel.render_node import RenderNode
    from launcher.options import ChannelChoice, Options
    from launcher.xwayland import Service as X11Service

EXIT_FAILED: Final = 125
"""Our own failure, as `env` and `timeout` tell it."""

_PARTS: Final = (
    "functools",
    "enum",
    "typing",
    "socket",
    "crossdomain.abi.cross_domain",
    "crossdomain.wire",
    "crossdomain.bridge.syncobj",
    "crossdomain.bridge.copy",
    "launcher.stats",
    "launcher.relay.buffers",
    "launcher.relay.parts",
    "launcher.serving",
)
"""What is loaded while the application starts; after each part is a look whether it has ended already."""


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Does what `arguments` (without the program's name) ask for; returns the exit status."""
    try:
        chosen = options.parse(arguments)
        log.set_level(chosen.level)
        return _serve(chosen)
    except StartError as error:
        log.error(str(error))
        return error.status
    except UsageError as error:
        log.error(f"{error}: see crossdomain-run --help")
    except EnvironmentFault as fault:
        log.error(f"{fault}: {fault.hint}")
    except CrossDomainError as fault:
        log.error(str(fault))
    except OSError as error:
        log.error(str(error))
    return EXIT_FAILED


def _serve(chosen: Options) -> int:
    node = _find_host(chosen.channel)
    loop = Loop()
    directory = RuntimeDirectory(os.environ)
    try:
        if chosen.service:
            from launcher import guest_service  # noqa: PLC0415 (of services alone)

            guest_service.check(directory.path, temporary=directory.is_own)
        display = DisplaySocket(directory.path, chosen.socket)
        try:
            x11 = _start_x11(chosen, loop, directory, display)
            try:
                environment = _environment(directory, display) | ({} if x11 is None else x11.environment)
                return _run(chosen, loop, display, environment, node)
            finally:
                if x11 is not None:
                    x11.close()
        finally:
            display.close()
    finally:
        directory.close()
        loop.close()


def _run(
    chosen: Options,
    loop: Loop,
    display: DisplaySocket,
    environment: dict[str, str],
    node: RenderNode | None,
) -> int:
    """Serves until the application, or the service, has ended; returns the exit status."""
    application = Application(loop)
    try:
        if not chosen.service:
            application.start(chosen.command, environment)
        started = time.clock_gettime(time.CLOCK_BOOTTIME)
        raise_fd_limit()
        if chosen.stats is not None or chosen.service or _load(loop, display, application):
            from launcher.serving import serve  # noqa: PLC0415 (the application has been started)

            serve(chosen, node, display, application, environment, started)
    finally:
        application.close()
    if chosen.service:
        return 0
    return EXIT_FAILED if application.status is None else application.status


def _load(loop: Loop, display: DisplaySocket, application: Application) -> bool:
    """Loads what serves clients; returns False where the application has ended and nobody is to be served."""
    # Modules stay: looking through them for garbage takes a twentieth of the time, and more each time later.
    gc.disable()
    for part in _PARTS:
        loop.poll()
        if application.status is not None and not display.is_called:
            return False
        __import__(part)
    gc.freeze()
    gc.enable()
    return True


def _find_host(choice: ChannelChoice) -> RenderNode | None:
    """Finds out whether the way to the host can work; returns the node, None for a local channel."""
    kind, path = choice
    if kind == "local":
        from launcher.channel.local import LocalChannel  # noqa: PLC0415 (only one of the two is loaded)

        LocalChannel(path, log.PROGRAM).close()
        return None
    from launcher.channel import render_node  # noqa: PLC0415

    return render_node.find(path)


def _start_x11(
    chosen: Options, loop: Loop, directory: RuntimeDirectory, display: DisplaySocket
) -> X11Service | None:
    if chosen.x11 == "off":
        return None
    from launcher import xwayland  # noqa: PLC0415 (only where it is asked for)

    settings = xwayland.Settings(
        choice=chosen.x11,
        scale=chosen.x11_scale,
        keeps_clipboard=chosen.x11_keeps_clipboard,
        wayland_display=os.path.abspath(os.path.join(directory.path, display.name)),
        runtime_directory=directory.path,
        log_level=log.LEVELS[chosen.level],
    )
    return xwayland.start(loop, settings)


def _environment(directory: RuntimeDirectory, display: DisplaySocket) -> dict[str, str]:
    environment = dict(os.environ)
    # An inherited connection would lead past us.
    environment.pop("WAYLAND_SOCKET", None)
    environment["WAYLAND_DISPLAY"] = display.name
    environment.setdefault("XDG_SESSION_TYPE", "wayland")
    if directory.is_own:
        environment["XDG_RUNTIME_DIR"] = directory.path
    return environment


if __name__ == "__main__":
    main()
