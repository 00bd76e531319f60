"""`crossdomain`: the host's commands.

What is missing on the machine is told in one line with what to do about it, never in a traceback.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from crossdomain.errors import CrossDomainError, EnvironmentFault

COMMANDS: Final = (
    ("host", "serve VMs and local clients: the daemon on the desktop's side", "crossdomain.host.cli"),
    ("vm", "run an application in a small VM of its own", "crossdomain.vm.cli"),
    ("doctor", "say what this machine lacks, and what to do about it", "crossdomain.host.doctor"),
)
"""Name, help, and the module whose `add_arguments(parser)` adds the options and sets `run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 where something failed, 2 for wrong usage."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except EnvironmentFault as fault:
        print(f"crossdomain: {fault}: {fault.hint}", file=sys.stderr)
    except CrossDomainError as fault:
        print(f"crossdomain: {fault}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="crossdomain", description="Shows the windows of VMs on this desktop."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_, module in COMMANDS:
        command = commands.add_parser(name, help=help_, description=help_)
        # Each command is imported only when it is asked for.
        if name in arguments:
            importlib.import_module(module).add_arguments(command)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
