"""`crossdomain-run --service`: one launcher for all applications of a session, and who gets to know of it."""

import os
from collections.abc import Mapping

from crossdomain.errors import EnvironmentFault
from launcher.announcement import Announcement, find


def check(directory: str, *, temporary: bool) -> None:
    """Makes sure that applications can find a service in `directory`, and that it is the only one.

    Raises:
        EnvironmentFault: they can't, or there is one.
    """
    if temporary:
        raise EnvironmentFault(
            "XDG_RUNTIME_DIR is not set, and applications find the service there",
            hint="set it to a directory of this user's with mode 0700",
        )
    if find(directory):
        raise EnvironmentFault(
            f"a service serves {directory!r} already",
            hint="end that one first, or start applications at once",
        )


def announce(directory: str, environment: Mapping[str, str]) -> Announcement:
    """Lets applications, and systemd where it waits for that, know that the service is there.

    Raises:
        OSError: `directory` can't be written.
    """
    announcement = Announcement(directory, environment)
    if "NOTIFY_SOCKET" in os.environ:
        import subprocess  # noqa: PLC0415 (slow to load, and needed only here)

        # systemd's own program, so that its protocol is not spoken twice.
        subprocess.run(["systemd-notify", "--ready"], check=False)
    return announcement
