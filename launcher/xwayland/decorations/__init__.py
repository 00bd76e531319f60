"""Frames for the windows of compositors that draw none (Weston, GNOME): title bar, border, resize edges.

`layout` says what is where, without Wayland; `paint` draws it with Pillow; `canvas` brings it into
wl_buffers; `frame` is the surfaces and what the pointer does on them; `cursors` what it looks like there.

Pillow, because it is well kept, draws and measures text with FreeType, carries a scalable font of its
own, and needs no library of a desktop in the guest.
"""
