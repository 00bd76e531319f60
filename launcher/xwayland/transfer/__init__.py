"""Selections and drag and drop: data that moves between X clients and Wayland clients.

`targets` knows what X and Wayland call the same kind of data; `reader` gets data out of an X
selection, `writer` puts it into a requestor's property, `transfers` has all that are under way;
`selection` is one clipboard, `answers` and `devices` are what it shows to the two sides.

`drags` tells drags apart: `drag_from_x` is what an X client drags, `drag_to_x` what it may get, `xdnd`
their language and `stage` the window that speaks it.  Nothing waits, and no transfer holds more than a
part of its data.
"""
