"""Where the daemon's sockets are, if nobody says otherwise."""

import os
from pathlib import Path
from typing import Final

from crossdomain.errors import EnvironmentFault

FOLDER: Final = "crossdomain"
GPU_SOCKET: Final = "gpu.sock"
LOCAL_SOCKET: Final = "local.sock"
DEFAULT_DISPLAY: Final = "wayland-0"


def runtime_dir() -> Path:
    """The user's folder for sockets.

    Raises:
        EnvironmentFault: XDG_RUNTIME_DIR does not name a folder.
    """
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    if not value.startswith("/") or not Path(value).is_dir():
        raise EnvironmentFault(
            f"XDG_RUNTIME_DIR is {value!r}, which is no folder",
            hint="log in through a session, or set it to a folder of your own with mode 700",
        )
    return Path(value)


def sockets_folder() -> Path:
    """Where our sockets are.  Raises EnvironmentFault as `runtime_dir` does."""
    return runtime_dir() / FOLDER


def default_gpu_socket() -> Path:
    """Where a VMM connects.  Raises EnvironmentFault as `runtime_dir` does."""
    return sockets_folder() / GPU_SOCKET


def default_local_socket() -> Path:
    """Where launchers without a VM connect.  Raises EnvironmentFault as `runtime_dir` does."""
    return sockets_folder() / LOCAL_SOCKET


def compositor_socket(display: str | None) -> Path:
    """The compositor's socket, by libwayland's rules: a name is looked up in the runtime folder.

    Args:
        display: as WAYLAND_DISPLAY; None takes that variable.

    Raises:
        EnvironmentFault: a name without XDG_RUNTIME_DIR.
    """
    name = display or os.environ.get("WAYLAND_DISPLAY") or DEFAULT_DISPLAY
    return Path(name) if name.startswith("/") else runtime_dir() / name
