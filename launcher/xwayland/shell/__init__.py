"""The compositor's side of the window manager: roles, decorations and input, as objects of our own.

Between `launcher.xwayland.model`, which decides, and `launcher.xwayland.wayland`, which carries it.
"""
