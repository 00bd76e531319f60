"""What the person at the command line of crossdomain-run asked for.

Lines that make sense are read here.  What is left, help and mistakes, is `launcher.command_line`'s, which has
the same options for argparse: that alone takes as long to load as an interpreter to start.
"""

from __future__ import annotations

from crossdomain.errors import CrossDomainError
from launcher.log import LEVELS, WARNING

TYPE_CHECKING = False  # as everywhere before the application starts: `typing` is slow to load
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, TypeAlias

    ChannelChoice: TypeAlias = tuple[str, str]
    """Which way to the host: auto, virtgpu or local, and the node's or socket's path, or an empty one."""

_MAX_X11_SCALE: Final = 4


class UsageError(CrossDomainError):
    """The command line can't be understood."""


class Options:
    """What the person at the command line asked for; made as an empty command line has it, without an APP."""

    def __init__(self) -> None:
        self.channel: ChannelChoice = ("auto", "")
        self.socket: str | None = None
        """Name or path of our own Wayland socket; None: a free name."""
        self.stats: str | None = None
        self.level = WARNING
        self.trace = False
        self.wait = False
        """Serve until the last client is gone, not only until APP ends."""
        self.x11 = "auto"
        """auto, on or off: whether X11 applications are served."""
        self.x11_scale = "auto"
        """auto or a number: how many px of an X11 window make one of the host's."""
        self.x11_keeps_clipboard = False
        """Keep what an X11 application has copied when it quits."""
        self.copies = False
        """Copy buffers also where the compositor could have the client's own memory."""
        self.allow: tuple[str, ...] = ()
        """Groups of globals that applications may use where the host has no policy of its own."""
        self.service = False
        """Serve every application of the session, and start none."""
        self.command: tuple[str, ...] = ()
        """APP and its arguments; none for a service."""


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options in `arguments` (without the program's name).

    Raises:
        UsageError: they make no sense.
        SystemExit: --help or --version was answered.
    """
    understood = read(arguments)
    if understood is not None:
        return understood
    from launcher import command_line  # noqa: PLC0415 (loads argparse)

    return command_line.parse(arguments)


def read(arguments: Sequence[str]) -> Options | None:
    """Returns the options of a line that makes sense without an explanation; None for any other."""
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name == "--" and not equals:
            break
        if name in _SWITCHES and not equals:
            setattr(options, *_SWITCHES[name])
            continue
        if not equals:
            if not rest or rest[0].startswith("-"):
                return None
            value = rest.pop(0)
        if not _take(options, name, value):
            return None
    options.command = tuple(rest)
    return options if bool(rest) != options.service else None


_SWITCHES: Final = {
    "--service": ("service", True),
    "--no-service": ("service", False),
    "--wait": ("wait", True),
    "--trace": ("trace", True),
    "--x11-keep-clipboard": ("x11_keeps_clipboard", True),
}


def _take(options: Options, name: str, value: str) -> bool:
    """Sets an option that has a value; returns whether it is one, and the value one of its."""
    if name == "--channel":
        options.channel = parse_channel(value)
    elif name == "--socket":
        options.socket = value
    elif name == "--stats":
        options.stats = value
    elif name == "--x11" and value in {"auto", "on", "off"}:
        options.x11 = value
    elif name == "--x11-scale" and is_x11_scale(value):
        options.x11_scale = value
    elif name == "--buffers" and value in {"auto", "copy"}:
        options.copies = value == "copy"
    elif name == "--log-level" and value in LEVELS:
        options.level = LEVELS.index(value)
    else:
        return False
    return True


def is_x11_scale(text: str) -> bool:
    """Whether --x11-scale may be that."""
    try:
        return text == "auto" or 1 <= float(text) <= _MAX_X11_SCALE
    except ValueError:
        return False


def parse_channel(text: str) -> ChannelChoice:
    """Returns the choice that `text` spells.

    Raises:
        UsageError: it is none.
    """
    kind, colon, path = text.partition(":")
    if kind == "auto" and not colon:
        return "auto", ""
    if kind == "virtgpu" and bool(colon) == bool(path):
        return "virtgpu", path
    if kind == "local" and path:
        return "local", path
    raise UsageError(f"--channel {text!r} is none of auto, virtgpu[:/dev/dri/renderDN], local:SOCKET")
