"""X11 applications: Xwayland, started when the first of them connects, and its window manager.

`service` is what the launcher has of it: a display that X clients connect to.  The rest is a process
of its own between Xwayland and the launcher's Wayland socket, a client like any other:

    X client -- Xwayland -- wayland.mediator -- the launcher's relay -- ... -- the compositor
                   |               |
                  x11 ---------- model

`model` decides what windows do, without X and Wayland; `x11` is the window manager's X connection;
`wayland` passes Xwayland's messages on and adds what `shell` makes of its surfaces.
"""

from launcher.xwayland.service import Service, Settings, start

__all__ = ["Service", "Settings", "start"]
