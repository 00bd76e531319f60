"""`crossdomain vm`: options, and what each of its commands does."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from crossdomain.errors import EnvironmentFault
from crossdomain.host.cli import vm_name
from crossdomain.vm import demo, image
from crossdomain.vm.machine import USER, Share
from crossdomain.vm.run import Interruptions, run_application, run_to_end, startup_environment
from crossdomain.vm.session import Session, SessionConfig, started

_SHARE_HELP: Final = (
    "show a folder to the guest, at the same path or at GUEST, with :ro read-only; may be repeated.  "
    "Files keep their owners, and the guest's user has your uid (1000 if you are root)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `crossdomain vm`; `run` of the parsed arguments carries one out."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="run an application in a new VM, its windows here",
        description="Boots a small VM, runs APP in it with its windows on this desktop, and switches it "
        "off.  Without a desktop (WAYLAND_DISPLAY unset), windows go to a headless compositor.  The exit "
        "status is APP's.",
    )
    _add_image_options(run)
    _add_machine_options(run)
    run.add_argument("--share", action="append", default=[], metavar="DIR[:GUEST][:ro]", help=_SHARE_HELP)
    run.add_argument(
        "--name",
        type=vm_name,
        default="guest",
        help="of the VM, in titles and for its settings in host.toml (default: %(default)s)",
    )
    run.add_argument("--network", action="store_true", help="let the guest reach the network")
    run.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="set a variable for APP"
    )
    run.add_argument("--root", action="store_true", help="run APP as root of the guest")
    run.add_argument(
        "--screenshot", type=Path, metavar="FILE", help="photograph the headless compositor into a PNG file"
    )
    run.add_argument(
        "--size", type=_size, default=(1280, 800), metavar="WxH", help="of the headless compositor"
    )
    run.add_argument("app", nargs=argparse.REMAINDER, metavar="-- APP [ARGS]", help="the application")
    run.set_defaults(run=_run)

    make = commands.add_parser("image", help="make the image that VMs boot from, or remove it")
    _add_image_options(make)
    change = make.add_mutually_exclusive_group()
    change.add_argument("--rebuild", action="store_true", help="make it again, with today's packages")
    change.add_argument("--remove", action="store_true", help="remove all images and what belongs to them")
    make.set_defaults(run=_image)

    show = commands.add_parser("demo", help="show three applications of a VM at once")
    _add_image_options(show)
    _add_machine_options(show)
    show.add_argument(
        "--output", type=Path, default=Path("build/demo"), metavar="DIR", help="for picture and report"
    )
    show.add_argument("--setup-seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    show.set_defaults(run=_demo)


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-dir", type=Path, metavar="DIR", help="where images are kept (default: ~/.cache/crossdomain)"
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="a Debian package more in the image; may be repeated",
    )
    parser.add_argument("--mirror", metavar="URL", help="Debian mirror (default: the one that apt uses here)")


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory", type=_at_least(256), default=1536, metavar="MIB", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--cpus", type=_at_least(1), default=min(4, os.cpu_count() or 1), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="KVM, or emulation with tcg; auto tries whether KVM works (default)",
    )


def _run(arguments: argparse.Namespace) -> int:
    app: list[str] = arguments.app[1:] if arguments.app[:1] == ["--"] else arguments.app
    if not app:
        print(
            "crossdomain vm run: name an application: crossdomain vm run [options] -- APP [ARGS]",
            file=sys.stderr,
        )
        return 2
    environment = startup_environment() | dict(_variable(text) for text in arguments.env)
    config = SessionConfig(
        _obtain(arguments),
        memory=arguments.memory,
        cpus=arguments.cpus,
        accelerator=arguments.accel,
        shares=tuple(parse_share(text) for text in arguments.share),
        network=arguments.network,
        headless_size=arguments.size,
        name=arguments.name,
    )

    async def session(interruptions: Interruptions) -> int:
        # A log is for the application's words alone; a person at a terminal sees that something goes on.
        entered = started(config) if sys.stderr.isatty() else Session(config)
        async with entered as running:
            if running.headless is not None and arguments.screenshot is None:
                print("no desktop here: the windows are on a headless compositor", file=sys.stderr)
            return await run_application(
                running,
                app,
                interruptions,
                environment=environment,
                user="root" if arguments.root else USER,
                screenshot=arguments.screenshot,
            )

    return run_to_end(session)


def _image(arguments: argparse.Namespace) -> int:
    if arguments.remove:
        image.remove_all(arguments.image_dir)
        return 0
    recipe = image.Recipe(tuple(arguments.package))
    if arguments.rebuild:
        made = image.rebuild(recipe, arguments.image_dir, mirror=arguments.mirror)
    else:
        made = _obtain(arguments)
    print(made.directory)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    options = demo.DemoOptions(
        output=arguments.output,
        recipe=image.Recipe(tuple(arguments.package)),
        image_directory=arguments.image_dir,
        mirror=arguments.mirror,
        memory=arguments.memory,
        cpus=arguments.cpus,
        accelerator=arguments.accel,
        setup_seconds=arguments.setup_seconds,
    )

    return run_to_end(lambda _interruptions: demo.show(options))


def _obtain(arguments: argparse.Namespace) -> image.Image:
    return image.obtain(image.Recipe(tuple(arguments.package)), arguments.image_dir, mirror=arguments.mirror)


def parse_share(text: str) -> Share:
    """Parse DIR[:GUEST][:ro].

    Raises:
        EnvironmentFault: there is no such folder, or the guest's path is not absolute.
    """
    words = text.split(":")
    read_only = len(words) > 1 and words[-1] == "ro"
    if read_only:
        words.pop()
    host = Path(words[0]).resolve()
    guest = words[1] if len(words) > 1 else str(host)
    if len(words) > 2 or not guest.startswith("/"):
        raise EnvironmentFault(
            f"--share {text!r} is not understood", hint="write DIR, DIR:/GUEST or DIR:/GUEST:ro"
        )
    if not host.is_dir():
        raise EnvironmentFault(f"there is no folder {host}", hint="make it, or correct --share")
    return Share(host, guest, read_only)


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise EnvironmentFault(f"--env {text!r} is not understood", hint="write NAME=VALUE")
    return name, value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT")
    return int(match[1]), int(match[2])


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is less than {minimum}")
        return value

    return parse
