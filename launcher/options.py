"""What the person at the command line of crossdomain-run asked for.

`launcher.command_line` reads the options; the usual line has none, and needs no parser.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from crossdomain.errors import CrossDomainError
from launcher.log import Level


class UsageError(CrossDomainError):
    """The command line can't be understood."""


class ChannelChoice(NamedTuple):
    """Which way to the host: `kind` is auto, virtgpu or local, `path` the node's or socket's, or empty."""

    kind: str
    path: str


class Options(NamedTuple):
    """What the person at the command line asked for."""

    channel: ChannelChoice
    socket: str | None
    """Name or path of our own Wayland socket; None: a free name."""
    stats: str | None
    level: Level
    trace: bool
    wait: bool
    """Serve until the last client is gone, not only until APP ends."""
    x11: str
    """auto, on or off: whether X11 applications are served."""
    x11_scale: str
    """auto or a number: how many px of an X11 window make one of the host's."""
    copies: bool
    """Copy buffers also where the compositor could have the client's own memory."""
    allow: tuple[str, ...]
    """Groups of globals that applications may use where the host has no policy of its own."""
    service: bool
    """Serve every application of the session, and start none."""
    command: tuple[str, ...]
    """APP and its arguments; none for a service."""


DEFAULTS: Final = Options(
    ChannelChoice("auto", ""), None, None, Level.WARNING, False, False, "auto", "auto", False, (), False, ()
)
"""What an empty command line asks for; there is no APP in it."""


def parse(arguments: Sequence[str]) -> Options:
    """Returns the options in `arguments` (without the program's name).

    Raises:
        UsageError: they make no sense.
        SystemExit: --help or --version was answered.
    """
    if arguments and not arguments[0].startswith("-"):
        return DEFAULTS._replace(command=tuple(arguments))
    # argparse alone takes a third of the start-up of a guest without KVM.
    from launcher import command_line  # noqa: PLC0415

    return command_line.parse(arguments)


def parse_channel(text: str) -> ChannelChoice:
    """Returns the choice that `text` spells.

    Raises:
        UsageError: it is none.
    """
    kind, colon, path = text.partition(":")
    if kind == "auto" and not colon:
        return ChannelChoice("auto", "")
    if kind == "virtgpu" and bool(colon) == bool(path):
        return ChannelChoice("virtgpu", path)
    if kind == "local" and path:
        return ChannelChoice("local", path)
    raise UsageError(f"--channel {text!r} is none of auto, virtgpu[:/dev/dri/renderDN], local:SOCKET")
