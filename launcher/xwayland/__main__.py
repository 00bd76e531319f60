"""The process of the X11 side: `python -m launcher.xwayland`, started by `launcher.xwayland.service`."""

import argparse
import signal
import sys

from crossdomain.errors import CrossDomainError, EnvironmentFault
from launcher import log
from launcher.xwayland.authority import read_cookie
from launcher.xwayland.session import Session, Settings
from launcher.xwayland.timers import TimedLoop


def main() -> int:
    """Serves one Xwayland; returns the exit status."""
    found = _parser().parse_args()
    log.set_level(log.LEVELS.index(found.log_level))
    # The terminal's keys are the application's; we end with the launcher.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    loop = TimedLoop()
    try:
        settings = Settings(
            found.display,
            tuple(int(fd) for fd in found.listen.split(",")),
            found.auth,
            read_cookie(found.auth),
            found.wayland,
            found.scale,
            found.keep_clipboard,
        )
        return Session(loop, settings).run()
    except EnvironmentFault as fault:
        log.error(f"{fault}: {fault.hint}")
    except CrossDomainError as fault:
        log.error(str(fault))
    except OSError as error:
        log.error(str(error))
    finally:
        loop.close()
        # From here on there is nobody who could handle what the handler raises.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launcher.xwayland")
    parser.add_argument("--display", type=int, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--auth", required=True)
    parser.add_argument("--wayland", required=True)
    parser.add_argument("--scale", default="auto")
    parser.add_argument("--keep-clipboard", action="store_true")
    parser.add_argument("--log-level", default="warning")
    return parser


if __name__ == "__main__":
    sys.exit(main())
