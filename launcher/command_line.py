"""The options of crossdomain-run, as argparse reads and explains them.

Parsing ends in `Options` or in a `UsageError`; nothing is opened here.
"""

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

from crossdomain import __version__
from crossdomain.wire import policy
from launcher.log import LEVELS, PROGRAM
from launcher.options import Options, UsageError, is_x11_scale, parse_channel

_DESCRIPTION: Final = """\
Runs APP so that its windows appear on the host's Wayland compositor.

APP and everything that it starts find the compositor through WAYLAND_DISPLAY.  The exit
status is APP's own, 128 + N where signal N killed it; 127 where APP was not found, 126 where
it could not be executed, and 125 where crossdomain-run itself failed.

With --service it serves all applications of the session instead: `crossdomain-run APP` without
options joins it then, and starts as quickly as APP itself."""


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing its usage and ending the process with 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options in `arguments` (without the program's name).

    Raises:
        UsageError: they make no sense.
        SystemExit: --help or --version was answered.
    """
    found = _parser().parse_args(arguments)
    command: list[str] = found.command
    if command and command[0] == "--":
        del command[0]
    if found.service and command:
        raise UsageError("--service starts no application: start the service first, then crossdomain-run APP")
    if not (command or found.service):
        raise UsageError("APP is missing: crossdomain-run [options] APP [ARGS]")
    options = Options()
    options.channel = parse_channel(found.channel)
    options.socket = found.socket
    options.stats = found.stats
    options.level = LEVELS.index(found.log_level)
    options.trace = found.trace
    options.wait = found.wait
    options.x11 = found.x11
    options.x11_scale = found.x11_scale
    options.x11_keeps_clipboard = found.x11_keep_clipboard
    options.copies = found.buffers == "copy"
    options.allow = tuple(found.allow)
    options.service = found.service
    options.command = tuple(command)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [options] [--] APP [ARGS...]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_places(parser)
    _add_life(parser)
    _add_x11(parser)
    _add_windows(parser)
    _add_telling(parser)
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="APP", help="the application and its arguments"
    )
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Where the host is, and where APP finds us."""
    parser.add_argument(
        "--channel",
        default="auto",
        metavar="WAY",
        help="the way to the host: auto (default: the first render node that can), "
        "virtgpu[:/dev/dri/renderDN], or local:SOCKET of a crossdomain host on this machine",
    )
    parser.add_argument(
        "--socket",
        metavar="NAME",
        help="name of the Wayland socket for APP (default: the first free wayland-N)",
    )


def _add_life(parser: argparse.ArgumentParser) -> None:
    """Whom we serve, and for how long."""
    parser.add_argument(
        "--service",
        action="store_true",
        help="serve the whole session until a signal ends it; its WAYLAND_DISPLAY stands in "
        "$XDG_RUNTIME_DIR/crossdomain-run.env",
    )
    parser.add_argument(
        "--no-service",
        dest="service",
        action="store_false",
        help="serve APP alone, where a service runs, too (so does every other option)",
    )
    wait = parser.add_mutually_exclusive_group()
    wait.add_argument(
        "--wait",
        action="store_true",
        help="after APP ended, keep serving until its last window's process has disconnected",
    )
    wait.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="end with APP, and disconnect who is left (default)",
    )


def _add_x11(parser: argparse.ArgumentParser) -> None:
    """X11 applications."""
    parser.add_argument(
        "--x11",
        choices=["auto", "on", "off"],
        default="auto",
        help="serve X11 applications, too: auto (default: where Xwayland is installed), on, off",
    )
    parser.add_argument(
        "--x11-scale",
        type=_x11_scale,
        default="auto",
        metavar="N",
        help="draw X11 windows N times as large, from 1 to 4; auto (default): as the host's outputs are",
    )
    parser.add_argument(
        "--x11-keep-clipboard",
        action="store_true",
        help="keep what an X11 application has copied when it quits, up to 16 MiB",
    )


def _add_windows(parser: argparse.ArgumentParser) -> None:
    """What applications may do, and how their pixels cross."""
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        choices=policy.load().grantable,
        metavar="GROUP",
        help="where the host decides nothing itself (any but crossdomain host), let applications use a group "
        "of globals that is denied by default, any number of times: %(choices)s",
    )
    parser.add_argument(
        "--buffers",
        choices=["auto", "copy"],
        default="auto",
        help="how pixels reach the compositor: auto (default: without a copy where that can be), or copied",
    )


def _add_telling(parser: argparse.ArgumentParser) -> None:
    """What we say."""
    parser.add_argument(
        "--stats", metavar="FILE", help="write counters as JSON to FILE at the first frame and at the end"
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        default="warning",
        help="how much to say on stderr (default: warning)",
    )
    parser.add_argument("--trace", action="store_true", help="print every Wayland message on stderr")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")


def _x11_scale(text: str) -> str:
    """Returns --x11-scale as it was given; argparse tells what is wrong with it."""
    if is_x11_scale(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 1 to 4")
