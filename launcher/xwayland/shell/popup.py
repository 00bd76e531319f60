"""A window on top of another: an xdg_popup that takes no grab, or a wl_subsurface.

A popup is kept on the screen by the compositor; without a grab nobody closes it but its X client.
A subsurface is exactly where it is asked to be, also where it does not touch its parent.
"""

from typing import TYPE_CHECKING, Final

from crossdomain.wire.codec import Value, integer
from launcher.xwayland.model.geometry import NO_EXTENTS, Extents, Rectangle
from launcher.xwayland.model.toplevel import Toplevel
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.look import Look
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.surfaces import Surface

if TYPE_CHECKING:
    from launcher.xwayland.shell.shell import Shell

_TOP_LEFT: Final = 5
"""xdg_positioner.anchor.top_left."""
_BOTTOM_RIGHT: Final = 8
"""xdg_positioner.gravity.bottom_right."""
_SLIDE: Final = 1 | 2
"""xdg_positioner.constraint_adjustment: along both axes."""
_REPOSITION_SINCE: Final = 3
"""The version of xdg_popup from which on it can be moved."""


class _OnParent:
    """What both kinds share."""

    def __init__(self, shell: "Shell", window: Window, surface: Surface) -> None:
        self._shell = shell
        self._window = window
        self.surface = surface
        self._look = Look(shell, window, surface)
        surface.owner = self

    def update(self, window: Window) -> None:
        """See `model.ports.PopupPort`."""
        del window
        if self._look.update():
            self.surface.commit()

    def release(self) -> None:
        """See `model.ports.RolePort`."""
        self.surface.release()

    def pulse(self) -> None:
        """See `model.ports.RolePort`."""
        self.surface.pulse()

    def commit(self) -> None:
        """See `model.ports.RolePort`."""
        self.surface.commit()

    def surface_commits(self, surface: Surface) -> None:
        """See `wayland.surfaces.Owner`."""
        del surface

    def surface_destroyed(self, surface: Surface) -> None:
        """See `wayland.surfaces.Owner`."""
        surface.alive = False
        self._shell.manager.set_surface(self._window, None)


class PopupRole(_OnParent):
    """An xdg_popup: `model.ports.PopupPort`."""

    def __init__(self, shell: "Shell", window: Window, parent: Window, rectangle: Rectangle) -> None:
        super().__init__(shell, window, shell.surface_of(window))
        self._parent = parent
        self._place = self._asked = (rectangle.x, rectangle.y)
        self._token = 0
        self.xdg_surface = shell.objects["xdg_wm_base"].create("get_xdg_surface", self.surface.entry)
        self.xdg_surface.handlers["configure"] = self._handle_configure
        positioner = self._positioner(rectangle)
        self._popup = self.xdg_surface.create("get_popup", shell.xdg_surface_of(parent), positioner)
        positioner.send("destroy")
        self._popup.handlers["configure"] = self._handle_popup
        self._popup.handlers["popup_done"] = self._handle_done
        self.surface.commit()

    def move(self, rectangle: Rectangle) -> None:
        """See `model.ports.PopupPort`."""
        if self._popup.version < _REPOSITION_SINCE:
            self._shell.manager.renew_popup(self._window)
            return
        self._asked = (rectangle.x, rectangle.y)
        positioner = self._positioner(rectangle)
        self._token += 1
        self._popup.send("reposition", positioner, self._token)
        positioner.send("destroy")

    def destroy(self) -> None:
        """See `model.ports.RolePort`."""
        self._look.destroy()
        self._popup.send("destroy")
        self.xdg_surface.send("destroy")
        self.surface.owner = None
        self.surface.hold()

    def _positioner(self, rectangle: Rectangle) -> Proxy:
        """Returns what describes a place; its upper left corner may be moved along the screen's edges."""
        frame = _frame_of(self._parent)
        positioner = self._shell.objects["xdg_wm_base"].create("create_positioner")
        positioner.send("set_size", max(1, rectangle.width), max(1, rectangle.height))
        width = max(1, self._parent.outer.width + frame.left + frame.right)
        height = max(1, self._parent.outer.height + frame.top + frame.bottom)
        # The anchor has to lie inside the parent; the offset leads from there to the place.
        positioner.send("set_anchor_rect", 0, 0, width, height)
        positioner.send("set_anchor", _TOP_LEFT)
        positioner.send("set_gravity", _BOTTOM_RIGHT)
        positioner.send("set_offset", rectangle.x + frame.left, rectangle.y + frame.top)
        positioner.send("set_constraint_adjustment", _SLIDE)
        return positioner

    def _handle_popup(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        frame = _frame_of(self._parent)
        x, y = integer(values[0]) - frame.left, integer(values[1]) - frame.top
        off = max(abs(x - self._asked[0]), abs(y - self._asked[1]))
        self._place = self._asked if off <= self._shell.slack else (x, y)

    def _handle_configure(self, values: tuple[Value, ...], _fds: list[int]) -> None:
        self.xdg_surface.send("ack_configure", integer(values[0]))
        self._shell.manager.configure_popup(self._window, *self._place)
        self.surface.commit()

    def _handle_done(self, _values: tuple[Value, ...], _fds: list[int]) -> None:
        self._shell.manager.dismiss_popup(self._window)


class SubsurfaceRole(_OnParent):
    """A wl_subsurface: `model.ports.PopupPort`."""

    def __init__(self, shell: "Shell", window: Window, parent: Window, rectangle: Rectangle) -> None:
        super().__init__(shell, window, shell.surface_of(window))
        self._parent = shell.surface_of(parent)
        compositor = shell.objects["wl_subcompositor"]
        self._subsurface = compositor.create("get_subsurface", self.surface.entry, self._parent.entry)
        self._subsurface.send("set_desync")
        self.move(rectangle)

    def move(self, rectangle: Rectangle) -> None:
        """See `model.ports.PopupPort`."""
        self._subsurface.send("set_position", rectangle.x, rectangle.y)
        # It counts from the parent's next commit on.
        self._parent.commit()

    def destroy(self) -> None:
        """See `model.ports.RolePort`."""
        self._look.destroy()
        self._subsurface.send("destroy")
        self.surface.owner = None
        self.surface.hold()


def _frame_of(parent: Window) -> Extents:
    """Returns what lies between a parent's window geometry and its contents."""
    return parent.role.extents if isinstance(parent.role, Toplevel) else NO_EXTENTS
