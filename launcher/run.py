"""crossdomain-run: starts an application and serves its windows until it ends; or serves a whole session."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from crossdomain.abi.cross_domain import Feature
from crossdomain.bridge.syncobj import SyncDevice
from crossdomain.errors import CrossDomainError, EnvironmentFault
from crossdomain.wire import load as load_tables
from crossdomain.wire import policy
from launcher import guest_service, log, options
from launcher.announcement import Announcement
from launcher.application import Application, raise_fd_limit
from launcher.channel import OpenChannel, drm
from launcher.display import DisplaySocket, RuntimeDirectory
from launcher.execution import StartError
from launcher.loop import Loop
from launcher.options import ChannelChoice, Options, UsageError
from launcher.relay.server import Server
from launcher.services import Services
from launcher.stats import Stats

if TYPE_CHECKING:
    from launcher.xwayland import Service as X11Service

EXIT_FAILED: Final = 125
"""Our own failure, as `env` and `timeout` tell it."""
_LAST_SECONDS: Final = 2.0
"""For what clients that have ended left in their sockets and pipes, where nobody takes any of it."""


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
    open_channel = _choose_channel(chosen.channel, share_files=not chosen.copies)
    loop = Loop()
    device = _open_sync_device()
    directory = RuntimeDirectory(os.environ)
    try:
        if chosen.service:
            guest_service.check(directory.path, temporary=directory.is_own)
        display = DisplaySocket(directory.path, chosen.socket)
        try:
            stats = Stats(chosen.stats)
            rules = policy.load().with_groups(chosen.allow)
            services = Services(
                loop, load_tables(), rules, stats, open_channel, chosen.trace, sync_device=device
            )
            x11 = _start_x11(chosen, loop, directory, display)
            try:
                environment = _environment(directory, display) | ({} if x11 is None else x11.environment)
                return _run(chosen, services, directory, display, environment)
            finally:
                if x11 is not None:
                    x11.close()
        finally:
            display.close()
    finally:
        directory.close()
        if device is not None:
            device.close()
        loop.close()


def _run(
    chosen: Options,
    services: Services,
    directory: RuntimeDirectory,
    display: DisplaySocket,
    environment: dict[str, str],
) -> int:
    """Serves until the application, or the service, has ended; returns the exit status."""
    loop = services.loop

    def app_ended() -> None:
        if not (chosen.wait and server.clients):
            loop.stop()

    def clients_gone() -> None:
        if application.status is not None:
            loop.stop()

    application = Application(loop, app_ended, loop.stop)
    server = Server(services, display.listener, clients_gone)
    announcement: Announcement | None = None
    try:
        if chosen.service:
            announcement = guest_service.announce(directory.path, environment)
        else:
            application.start(chosen.command, environment)
        raise_fd_limit()
        services.stats.app_started()
        loop.run()
        loop.drain(lambda: server.is_draining, _LAST_SECONDS, lambda: server.drained)
    finally:
        if announcement is not None:
            announcement.close()
        server.close()
        application.close()
        services.stats.write()
    if chosen.service:
        return 0
    return EXIT_FAILED if application.status is None else application.status


def _choose_channel(choice: ChannelChoice, *, share_files: bool) -> OpenChannel:
    """Returns how to open channels; finds out now whether that can work."""
    if choice.kind == "local":
        from launcher.channel.local import LocalChannel  # noqa: PLC0415 (only one of the two is loaded)

        LocalChannel(choice.path, "crossdomain-run").close()
        return lambda client: LocalChannel(choice.path, client, share_files=share_files)
    from launcher.channel import render_node  # noqa: PLC0415
    from launcher.channel.virtgpu import VirtgpuChannel  # noqa: PLC0415

    node = render_node.find(choice.path)
    pages = None
    if share_files and node.capset.features & Feature.PAGES:
        from launcher.channel.guest_pages import GuestPages  # noqa: PLC0415

        pages = GuestPages.open()
    return lambda client: VirtgpuChannel(node.path, node.capset, client, pages)


def _open_sync_device() -> SyncDevice | None:
    """Returns the first render node that has timelines."""
    for path in drm.render_nodes():
        device = SyncDevice.open(path)
        if device is not None:
            return device
    return None


def _start_x11(
    chosen: Options, loop: Loop, directory: RuntimeDirectory, display: DisplaySocket
) -> "X11Service | None":
    if chosen.x11 == "off":
        return None
    from launcher import xwayland  # noqa: PLC0415 (only where it is asked for)

    settings = xwayland.Settings(
        choice=chosen.x11,
        scale=chosen.x11_scale,
        wayland_display=os.path.abspath(os.path.join(directory.path, display.name)),
        runtime_directory=directory.path,
        log_level=chosen.level.name.lower(),
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
