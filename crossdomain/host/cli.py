"""`crossdomain host`: the daemon's options, its start and its end."""

import argparse
import asyncio
import json
import os
import shlex
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from crossdomain.device.qemu import qemu_arguments
from crossdomain.errors import EnvironmentFault, HostFault
from crossdomain.host import control, logs, report, settings
from crossdomain.host.daemon import Configuration, Daemon
from crossdomain.host.notify import Systemd
from crossdomain.host.paths import (
    compositor_socket,
    default_gpu_socket,
    default_local_socket,
    sockets_folder,
)
from crossdomain.wire import policy as wire_policy

_DEFAULT_WINDOW_MIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `crossdomain host`; `run` of the parsed arguments carries it out."""
    _add_sockets(parser)
    _add_rules(parser)
    _add_log(parser)
    parser.add_argument(
        "--qemu-args",
        action="store_true",
        help="print the arguments that connect a QEMU to the socket, and exit",
    )
    parser.set_defaults(run=run)
    _add_status(parser)


def _add_sockets(parser: argparse.ArgumentParser) -> None:
    """Who is served, and on which compositor."""
    parser.add_argument(
        "--socket",
        type=Path,
        metavar="PATH",
        help="vhost-user socket for VMs (default: $XDG_RUNTIME_DIR/crossdomain/gpu.sock)",
    )
    parser.add_argument(
        "--local-socket",
        type=Path,
        metavar="PATH",
        help="socket for clients without a VM (default: $XDG_RUNTIME_DIR/crossdomain/local.sock)",
    )
    parser.add_argument(
        "--wayland-display",
        metavar="NAME",
        help="compositor to show windows on, a name or a path (default: $WAYLAND_DISPLAY, wayland-0)",
    )
    parser.add_argument(
        "--name",
        type=vm_name,
        default="guest",
        help="what titles and log lines call the VM at --socket, whose settings are those of [vm.NAME] "
        "(default: %(default)s)",
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """What guests may do and have."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="what each VM may do, in TOML, read again on SIGHUP; docs/host.toml describes every key "
        "(default: $XDG_CONFIG_HOME/crossdomain/host.toml, if it is there)",
    )
    parser.add_argument(
        "--no-sections",
        action="store_true",
        help="serve no sockets but --socket and --local-socket, whatever [vm.NAME] sections say",
    )
    parser.add_argument(
        "--window-size",
        type=_power_of_two,
        default=_DEFAULT_WINDOW_MIB,
        metavar="MIB",
        help="host memory that a VM may map at a time, a power of two (default: %(default)s)",
    )
    parser.add_argument(
        "--copy-pages",
        action="store_true",
        help="always copy what VMs draw, where the compositor could read it where it is (/dev/udmabuf)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        choices=wire_policy.load().grantable,
        metavar="GROUP",
        help="let guests use a group of globals that is denied by default, any number of times: %(choices)s",
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    """What is told on standard error."""
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is logged to standard error (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: one object a line, with the VM, the context and the client apart (default: %(default)s)",
    )


def _add_status(parser: argparse.ArgumentParser) -> None:
    """`crossdomain host status`."""
    told = "show what a daemon that runs is serving: clients, buffers, times, quotas"
    commands = parser.add_subparsers(title="commands", metavar="[status]", required=False)
    status = commands.add_parser("status", help=told, description=told)
    # What stands before `status` holds, too.
    status.add_argument(
        "--socket",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="the vhost-user socket of that daemon (default: $XDG_RUNTIME_DIR/crossdomain/gpu.sock)",
    )
    form = status.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one line of JSON")
    form.add_argument("--prometheus", action="store_true", help="Prometheus' text exposition format")
    status.set_defaults(run=run_status)


def run_status(arguments: argparse.Namespace) -> int:
    """Prints the status of a daemon that runs.

    Raises:
        EnvironmentFault: none does, or it is of another version.
    """
    path = control.control_socket(_absolute(arguments.socket or default_gpu_socket()))
    told = control.ask(path)
    try:
        text = told.decode()
        if not arguments.json:
            show = report.prometheus if arguments.prometheus else report.table
            text = show(json.loads(text))
    except (ValueError, LookupError, TypeError, HostFault) as error:
        raise EnvironmentFault(
            f"what the daemon at {str(path)!r} tells is no status as this version has it",
            hint="restart `crossdomain host`: it is an older or a newer one, or has just ended",
        ) from error
    print(text.removesuffix("\n"))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT.

    On standard output it prints one line when it is ready, and one line of JSON for every SIGUSR1.
    SIGHUP makes it read its settings again.

    Raises:
        EnvironmentFault: no compositor, a socket can't be made, or a mistake in the settings.
    """
    gpu_socket = _absolute(arguments.socket or default_gpu_socket())
    if arguments.qemu_args:
        print(shlex.join(qemu_arguments(gpu_socket)))
        return 0
    configuration = Configuration(
        gpu_socket=gpu_socket,
        local_socket=_absolute(arguments.local_socket or default_local_socket()),
        compositor=compositor_socket(arguments.wayland_display),
        name=arguments.name,
        window_size=arguments.window_size << 20,
        policy=wire_policy.load().with_groups(arguments.allow),
        read_file=partial(settings.read, arguments.config, sockets_folder),
        shows_pages=not arguments.copy_pages,
        sections=not arguments.no_sections,
    )
    logs.set_up(arguments.log_level, arguments.log_format)
    asyncio.run(_serve(configuration))
    return 0


async def _serve(configuration: Configuration) -> None:
    daemon = Daemon(configuration)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    systemd = Systemd()
    watchdog: asyncio.Task[None] | None = None

    async def reload() -> None:
        systemd.reloading()
        await daemon.reload()
        systemd.ready(daemon.summary)

    tasks: set[asyncio.Task[None]] = set()

    def start(work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = loop.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, start, reload)
    loop.add_signal_handler(signal.SIGUSR1, start, lambda: _print_status(daemon))

    def ready() -> None:
        print(
            f"ready: VMs at {configuration.gpu_socket}, local clients at {configuration.local_socket}",
            flush=True,
        )
        nonlocal watchdog
        systemd.ready(daemon.summary)
        daemon.changed = lambda: systemd.status(daemon.summary)
        watchdog = loop.create_task(systemd.feed(daemon.check_workers))

    try:
        await daemon.run(ready)
    finally:
        systemd.stopping()
        if watchdog is not None:
            watchdog.cancel()


async def _print_status(daemon: Daemon) -> None:
    print((await daemon.status()).to_json(), flush=True)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def vm_name(text: str) -> str:
    """An option that is a VM's name."""
    try:
        return settings.check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _power_of_two(text: str) -> int:
    """A number of MiB: QEMU aborts where a region's size is no power of two."""
    value = int(text) if text.isdecimal() else 0
    if value < 1 or value & (value - 1) or value > 1 << 20:
        raise argparse.ArgumentTypeError(f"{text!r} is no power of two between 1 and {1 << 20}")
    return value
