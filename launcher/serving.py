"""Serves clients until the application, or the service, has ended.

`launcher.run` loads this, and all that it needs, while the application gets ready.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from crossdomain.abi.cross_domain import Feature
from crossdomain.bridge.syncobj import SyncDevice
from crossdomain.wire import load as load_tables
from crossdomain.wire import policy
from launcher import guest_service
from launcher.application import Application
from launcher.channel import drm
from launcher.channel.render_node import RenderNode
from launcher.channel.seam import OpenChannel
from launcher.display import DisplaySocket
from launcher.options import Options
from launcher.relay.server import Server
from launcher.services import Services
from launcher.stats import Stats

_LAST_SECONDS: Final = 2.0
"""For what clients that have ended left in their sockets and pipes, where nobody takes any of it."""


def serve(
    chosen: Options,
    node: RenderNode | None,
    display: DisplaySocket,
    application: Application,
    environment: Mapping[str, str],
    started: float,
) -> None:
    """Serves who connects to `display` until the application's end, or a signal to the service.

    `node` is the way to the host, None for a local channel; `environment` leads applications here;
    `started` is when the application was started, s of CLOCK_BOOTTIME.
    """
    stats = Stats(chosen.stats)
    stats.app_started(started)
    device = _open_sync_device()
    announcement = None
    try:
        services = Services(
            application.loop,
            load_tables(),
            policy.load().with_groups(chosen.allow),
            stats,
            _channels(chosen, node),
            chosen.trace,
            sync_device=device,
        )
        with socket.socket(fileno=os.dup(display.listener)) as listener:
            if chosen.service:
                announcement = guest_service.announce(display.directory, environment)
            _serve(services, listener, application, wait=chosen.wait)
    finally:
        if announcement is not None:
            announcement.close()
        if device is not None:
            device.close()
        stats.write()


def _serve(services: Services, listener: socket.socket, application: Application, *, wait: bool) -> None:
    loop = services.loop

    def stop_when_over() -> None:
        if application.status is not None and not (wait and server.clients):
            loop.stop()

    server = Server(services, listener, stop_when_over)
    try:
        application.ended = stop_when_over
        # Both may have happened already: a client has come, and the application has ended.
        loop.poll()
        stop_when_over()
        loop.run()
        loop.drain(lambda: server.is_draining, _LAST_SECONDS, lambda: server.drained)
    finally:
        server.close()


def _channels(chosen: Options, node: RenderNode | None) -> OpenChannel:
    """Returns how to open channels."""
    share_files = not chosen.copies
    if node is None:
        from launcher.channel.local import LocalChannel  # noqa: PLC0415 (only one of the two is loaded)

        path = chosen.channel[1]
        return lambda client: LocalChannel(path, client, share_files=share_files)
    from launcher.channel.virtgpu import VirtgpuChannel  # noqa: PLC0415

    capset, pages = node.capset, None
    if share_files and capset.features & Feature.PAGES:
        from launcher.channel.guest_pages import GuestPages  # noqa: PLC0415

        pages = GuestPages.open()
    return lambda client: VirtgpuChannel(node.path, capset, client, pages)


def _open_sync_device() -> SyncDevice | None:
    """Returns the first render node that has timelines."""
    for path in drm.render_nodes():
        device = SyncDevice.open(path)
        if device is not None:
            return device
    return None
