"""A frame as surfaces around a window's own, and what the pointer does on them.

The title bar and the border are subsurfaces that change together with the window's contents; a
transparent one below everything makes the edges wider than they look.
"""

from typing import Final, Protocol

from launcher.xwayland.decorations.canvas import ARGB, XRGB, Buffer, Canvas
from launcher.xwayland.decorations.cursors import Cursors
from launcher.xwayland.decorations.layout import FrameState, Layout, Part
from launcher.xwayland.decorations.paint import paint_title, palette_of
from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.names import Edge
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.seats import Pointer, Seats
from launcher.xwayland.wayland.surfaces import Surface

_LEFT_BUTTON: Final = 0x110
_RIGHT_BUTTON: Final = 0x111
"""linux/input-event-codes.h."""
_FIXED: Final = 256
_DOUBLE_CLICK: Final = 400
"""ms between two presses."""
_DRAG_DISTANCE: Final = 4
"""px that the pointer moves before a press on the title is a drag."""
_FINGER: Final = 16
"""px in which a finger or a pen touches the same point twice, or does not move."""
_OPAQUE: Final = 0xFF000000


class Actions(Protocol):
    """What a frame's buttons and edges do."""

    def close(self) -> None:
        """The close button."""
        ...

    def toggle_maximized(self) -> None:
        """The maximise button, or a double click on the title."""
        ...

    def minimize(self) -> None:
        """The minimise button."""
        ...

    def move(self) -> None:
        """The title is dragged."""
        ...

    def resize(self, edge: Edge) -> None:
        """An edge is dragged."""
        ...

    def show_menu(self, x: int, y: int) -> None:
        """The title was clicked with the right button; px from the contents' upper left corner."""
        ...


class Studio:
    """What all frames share."""

    def __init__(self, objects: Objects, seats: Seats, cursors: Cursors, scale: float) -> None:
        self.objects = objects
        self.seats = seats
        self.cursors = cursors
        self.scale = scale
        self._solids: dict[int, Buffer] = {}

    def solid(self, colour: int) -> Buffer:
        """Returns a buffer of one pixel; `colour` is premultiplied 0xAARRGGBB."""
        buffer = self._solids.get(colour)
        if buffer is None:
            buffer = self._solids[colour] = Buffer(self.objects["wl_shm"], 1, 1, ARGB)
            buffer.write(colour.to_bytes(4, "little"))
        return buffer


class Frame:
    """The frame of one window."""

    def __init__(self, studio: Studio, surface: Surface, actions: Actions) -> None:
        self._studio = studio
        self._parent = surface
        self.actions = actions
        self._grab = _Piece(studio, self, surface)
        self._grab.subsurface.send("place_below", surface.entry)
        self._borders = tuple(_Piece(studio, self, surface) for _ in range(3))
        self._title = _Piece(studio, self, surface)
        self._canvas = Canvas(studio.objects["wl_shm"], XRGB)
        self._layout: Layout | None = None
        self._hovered = Part.NOTHING
        self._pressed = Part.NOTHING
        self._press: tuple[float, float] | None = None
        self._slack = _DRAG_DISTANCE
        self._last_press = (0, 0.0, 0.0)

    def update(self, state: FrameState) -> bool:
        """Draws it for that state; it is seen with the next commit of the window's own surface.

        Returns whether anything has changed.
        """
        before = None if self._layout is None else self._layout.state
        if state == before:
            return False
        layout = self._layout = Layout(state, self._studio.scale)
        self._place(layout)
        self._paint()
        return True

    def close(self) -> None:
        """Takes it away; nothing happens on it any more."""
        self._layout = None
        for piece in (self._grab, *self._borders, self._title):
            piece.close()
        self._canvas.close()

    def _place(self, layout: Layout) -> None:
        has_edges = not layout.state.maximized
        colour = _OPAQUE | palette_of(layout.state).border
        for piece, place in zip(self._borders, (layout.left, layout.right, layout.bottom), strict=True):
            piece.fill(place if has_edges else None, colour)
        self._grab.fill(layout.grab if has_edges and layout.state.resizable else None, 0)

    def _paint(self) -> None:
        layout = self._layout
        if layout is None:
            return
        bar = layout.title_bar
        if bar.height <= 0:
            self._title.fill(None, 0)
        elif bar.height <= layout.state.extents.bottom:
            self._title.fill(bar, _OPAQUE | palette_of(layout.state).border)
        else:
            pixels = paint_title(layout, self._hovered, self._pressed)
            self._canvas.draw(self._title.surface, bar.width, bar.height, pixels)
            self._title.put(bar)

    # What the pointer does.

    def move_pointer(self, pointer: Pointer, x: float, y: float) -> None:
        """The pointer is at a point of the frame."""
        layout = self._layout
        if layout is None:
            return
        part = layout.part_at(x, y)
        self._studio.cursors.set(pointer, layout.edge_at(x, y) if part is Part.EDGE else Edge.NONE)
        self._look(part, self._pressed)
        self.drag(x, y)

    def drag(self, x: float, y: float) -> None:
        """Whatever has pressed something is at a point of the frame."""
        if self._press is not None:
            moved = max(abs(x - self._press[0]), abs(y - self._press[1]))
            if moved >= self._slack * self._studio.scale:
                self._press = None
                self.actions.move()

    def leave(self) -> None:
        """The pointer is elsewhere, or whatever has pressed something is cancelled."""
        self._press = None
        self._look(Part.NOTHING, Part.NOTHING)

    def drag_away(self) -> None:
        """The pointer leaves the frame.

        Mutter may let it go with its button pressed, where others keep it: then that is a drag.
        """
        if self._press is not None:
            self.actions.move()
        self.leave()

    def press(self, button: int, x: float, y: float, time: int) -> None:
        """A button goes down."""
        layout = self._layout
        if layout is None:
            return
        part = layout.part_at(x, y)
        if button == _RIGHT_BUTTON and part is not Part.EDGE:
            self.actions.show_menu(int(x), int(y))
        elif button == _LEFT_BUTTON:
            self._slack = _DRAG_DISTANCE
            self._press_left(layout, part, x, y, time)

    def touch(self, x: float, y: float, time: int) -> None:
        """A finger or a pen goes down."""
        layout = self._layout
        if layout is not None:
            self._slack = _FINGER
            self._press_left(layout, layout.part_at(x, y), x, y, time)

    def lift(self, x: float, y: float) -> None:
        """It comes up: then it is nowhere."""
        self.release(_LEFT_BUTTON, x, y)
        self._look(Part.NOTHING, Part.NOTHING)

    def release(self, button: int, x: float, y: float) -> None:
        """A button comes up."""
        layout = self._layout
        if layout is None or button != _LEFT_BUTTON:
            return
        pressed, self._press = self._pressed, None
        part = layout.part_at(x, y)
        self._look(part, Part.NOTHING)
        if part is not pressed:
            return
        if part is Part.CLOSE:
            self.actions.close()
        elif part is Part.MAXIMIZE:
            self.actions.toggle_maximized()
        elif part is Part.MINIMIZE:
            self.actions.minimize()

    def _press_left(self, layout: Layout, part: Part, x: float, y: float, time: int) -> None:
        if part is Part.EDGE:
            self.actions.resize(layout.edge_at(x, y))
            return
        if part is not Part.TITLE:
            self._look(part, part)
            return
        last_time, last_x, last_y = self._last_press
        near = max(abs(x - last_x), abs(y - last_y)) < self._slack * self._studio.scale
        if near and 0 <= time - last_time <= _DOUBLE_CLICK and Part.MAXIMIZE in layout.state.buttons:
            self._last_press = (0, 0.0, 0.0)
            self._press = None
            self.actions.toggle_maximized()
        else:
            self._last_press = (time, x, y)
            self._press = (x, y)

    def _look(self, hovered: Part, pressed: Part) -> None:
        if (hovered, pressed) == (self._hovered, self._pressed):
            return
        changed = {hovered, pressed, self._hovered, self._pressed} & {
            Part.CLOSE,
            Part.MAXIMIZE,
            Part.MINIMIZE,
        }
        self._hovered, self._pressed = hovered, pressed
        if changed and self._layout is not None:
            self._paint()
            self._parent.commit()


class _Piece:
    """One surface of a frame; it takes what the pointer does there to the frame (`seats.Target`)."""

    def __init__(self, studio: Studio, frame: Frame, parent: Surface) -> None:
        self._studio = studio
        self._frame = frame
        self.window_surface = parent
        self.surface = studio.objects["wl_compositor"].create("create_surface")
        compositor = studio.objects["wl_subcompositor"]
        self.subsurface = compositor.create("get_subsurface", self.surface, parent.entry)
        viewporter = studio.objects.find("wp_viewporter")
        self._viewport = None if viewporter is None else viewporter.create("get_viewport", self.surface)
        self._place: Rectangle | None = None
        self._colour = -1
        self._canvas: Canvas | None = None
        studio.seats.add_target(self.surface, self)

    def fill(self, place: Rectangle | None, colour: int) -> None:
        """Shows one colour (premultiplied 0xAARRGGBB) in a place, or nothing."""
        if place is None or place.width <= 0 or place.height <= 0:
            self._hide()
            return
        if self._place == place and self._colour == colour:
            return
        if self._viewport is not None:
            if self._colour != colour:
                self.surface.send("attach", self._studio.solid(colour).proxy, 0, 0)
                self.surface.send("damage_buffer", 0, 0, 1, 1)
        else:
            if self._canvas is None:
                self._canvas = Canvas(self._studio.objects["wl_shm"], ARGB)
            pixels = colour.to_bytes(4, "little") * (place.width * place.height)
            self._canvas.draw(self.surface, place.width, place.height, pixels)
        self._colour = colour
        self.put(place)

    def put(self, place: Rectangle) -> None:
        """Shows what was attached in a place."""
        if self._place is None or place[:2] != self._place[:2]:
            self.subsurface.send("set_position", place.x, place.y)
        if self._viewport is not None and (self._place is None or place.size != self._place.size):
            self._viewport.send("set_destination", *place.size)
        self._place = place
        self.surface.send("commit")

    def close(self) -> None:
        """Takes it away."""
        self._studio.seats.remove_target(self.surface)
        if self._viewport is not None:
            self._viewport.send("destroy")
        self.subsurface.send("destroy")
        self.surface.send("destroy")
        if self._canvas is not None:
            self._canvas.close()

    def _hide(self) -> None:
        if self._place is not None:
            self._place = None
            self._colour = -1
            self.surface.send("attach", None, 0, 0)
            self.surface.send("commit")

    # `wayland.seats.Target`.

    def pointer_moved(self, pointer: Pointer) -> None:
        """See `wayland.seats.Target`."""
        self._frame.move_pointer(pointer, *self._point(pointer.x, pointer.y))

    def pointer_left(self, pointer: Pointer) -> None:
        """See `wayland.seats.Target`."""
        del pointer
        self._frame.drag_away()

    def pointer_button(self, pointer: Pointer, button: int, *, pressed: bool, time: int) -> None:
        """See `wayland.seats.Target`."""
        x, y = self._point(pointer.x, pointer.y)
        if pressed:
            self._frame.press(button, x, y, time)
        else:
            self._frame.release(button, x, y)

    def contact_down(self, x: int, y: int, time: int) -> None:
        """See `wayland.seats.Target`."""
        self._frame.touch(*self._point(x, y), time)

    def contact_moved(self, x: int, y: int) -> None:
        """See `wayland.seats.Target`."""
        self._frame.drag(*self._point(x, y))

    def contact_up(self, x: int, y: int) -> None:
        """See `wayland.seats.Target`."""
        self._frame.lift(*self._point(x, y))

    def contact_cancelled(self) -> None:
        """See `wayland.seats.Target`."""
        self._frame.leave()

    def _point(self, x: int, y: int) -> tuple[float, float]:
        """Returns a point of the surface (24.8 fixed) as px from the contents' upper left corner."""
        place = self._place or Rectangle(0, 0, 0, 0)
        return x / _FIXED + place.x, y / _FIXED + place.y
