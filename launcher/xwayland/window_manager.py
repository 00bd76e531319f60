"""Puts the parts of the window manager together, and pairs what X and Wayland say of the same window."""

from collections.abc import Callable

from launcher.xwayland.association import Association
from launcher.xwayland.decorations.pointers import draw_pointer, side_of, spot_of
from launcher.xwayland.mappings import Mappings
from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.geometry import Rectangle, Size
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import Edge
from launcher.xwayland.model.window import Window
from launcher.xwayland.order import Order
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.shell.shell import Shell
from launcher.xwayland.timers import TimedLoop
from launcher.xwayland.transfer.drags import Drags
from launcher.xwayland.transfer.selections import Selections
from launcher.xwayland.transfer.stage import Stage
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.wayland.arrangement import Arrangement
from launcher.xwayland.wayland.contacts import Contacts
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.keyboard_grabs import KeyboardGrabs
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.wayland.surfaces import Surface, Surfaces
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.dispatch import Dispatch
from launcher.xwayland.x11.images import Images
from launcher.xwayland.x11.pointer import Arrow
from launcher.xwayland.x11.port import Port
from launcher.xwayland.x11.resizing import Resizing
from launcher.xwayland.x11.root import Root
from launcher.xwayland.x11.server_time import ServerTime


class WindowManager:
    """The window manager of one session."""

    def __init__(
        self,
        loop: TimedLoop,
        mediator: Mediator,
        globals_: Globals,
        arrangement: Arrangement,
        mappings: Mappings,
        *,
        keeps_clipboard: bool,
    ) -> None:
        """`keeps_clipboard`: what an X client has copied is kept when it quits."""
        self._loop = loop
        self._keeps_clipboard = keeps_clipboard
        self._mediator = mediator
        self._globals = globals_
        self._arrangement = arrangement
        self._mappings = mappings
        self._association = Association(self._pair)
        self._surfaces = Surfaces(mediator, self._association)
        self._seats = Seats(mediator, self._surfaces, self)
        Contacts(mediator, self._surfaces, self._seats, self)
        globals_.emulate("xwayland_shell_v1", 1, self._surfaces.handle_shell_request)
        self._manager: Manager | None = None
        self._keyboard: Surface | None = None
        self._keyboard_moved = False
        self._was_given = False
        """Whether X was told since, and no key has come yet."""
        self._selections: Selections | None = None
        self._order: Order | None = None
        self._pointed: Surface | None = None
        """Where a pointer was last."""
        self._has_raised = False

    def prepare(self, objects: Objects) -> None:
        """What the compositor has, and how dense it is, are known; before Xwayland's first request."""
        if self._mediator.scaling.is_needed:
            self._surfaces.viewporter = objects.find("wp_viewporter")
            # Xwayland would have the surfaces' only viewport for itself.
            self._globals.hide("wp_viewporter")
        inhibitors = objects.find("zwp_keyboard_shortcuts_inhibit_manager_v1")
        if inhibitors is not None:
            KeyboardGrabs(self._mediator, self._globals, inhibitors)

    def start(self, client: XClient, objects: Objects) -> Callable[[bytes], None]:
        """Takes over the windows; returns who is to get the X events."""
        factor = self._mediator.scaling.factor
        shell = Shell(self._mediator, objects, self._seats, Images(client), factor)
        root = Root(client, factor, _draw_arrow(factor))
        server_time = ServerTime(client, root.window)
        resizing = Resizing(client, self._loop)
        port = Port(client, resizing, server_time, self._mappings)
        manager = Manager(port, shell, FrameMetrics.scaled(factor))
        shell.manager = manager
        self._manager = manager
        dispatch = Dispatch(client, manager, self._association, server_time)

        def screen_changed(size: Size) -> None:
            manager.resize_screen(size)
            root.set_screen(size)

        def drawn(number: int) -> None:
            window = manager.windows.get(number)
            if window is not None:
                manager.drawn(window)

        def outputs_changed() -> None:
            manager.place_outputs(tuple(Rectangle(*each) for each in self._arrangement.rectangles))

        def mapped(number: int) -> None:
            window = manager.windows.get(number)
            if window is not None:
                manager.restore(window)

        resizing.drawn = drawn
        self._mappings.own = client.setup.resource_id_base
        self._mappings.mapped = mapped
        dispatch.alarm_event = resizing.handle_alarm
        dispatch.window_gone = resizing.forget
        dispatch.screen_changed = screen_changed
        screen_changed(Size(client.setup.width, client.setup.height))
        self._arrangement.changed = outputs_changed
        outputs_changed()
        root.start()
        stage = self._start_selections(client, objects, dispatch, root.window)

        def raised() -> None:
            self._has_raised = True
            stage.stay_above()

        port.raised = raised
        self._order = Order(client, self._mediator, self._loop)
        manager.focus.taken = self._order.look
        return dispatch.handle

    def close(self) -> None:
        """Ends what is under way."""
        self._mappings.close()
        if self._selections is not None:
            self._selections.close()
        if self._order is not None:
            self._order.close()

    def flush(self) -> None:
        """All that was ready has been handled: tells what came out of it."""
        if self._manager is None:
            return
        self._give_keyboard()
        if self._surfaces.has_room:
            self._manager.show_unseen()
        self._manager.flush_lists()

    # `wayland.seats.Listener`.

    def pointer_entered(self, surface: Surface) -> bool:
        """See `wayland.seats.Listener`."""
        window = self._window_of(surface)
        if window is None or self._manager is None or self._order is None:
            return False
        self._pointed = surface
        self._has_raised = False
        self._manager.enter_pointer(window)
        return self._has_raised and self._order.hold()

    def pointer_used(self, surface: Surface) -> bool:
        """See `wayland.seats.Listener`."""
        return surface is not self._pointed and self.pointer_entered(surface)

    def key_came(self) -> bool:
        """See `wayland.seats.Listener`."""
        self._give_keyboard()
        was_given, self._was_given = self._was_given, False
        if not was_given or self._order is None or self._manager is None:
            return False
        focus = self._manager.focus
        return self._order.hold(lambda: focus.is_due)

    def serial_came(self) -> None:
        """See `wayland.seats.Listener`."""
        if self._selections is not None:
            self._selections.serial_came()

    def keyboard_entered(self, surface: Surface | None) -> None:
        """See `wayland.seats.Listener`."""
        # From one window to another it is nobody's in between, which nobody needs to know.
        self._keyboard = surface
        self._keyboard_moved = True

    def _give_keyboard(self) -> None:
        """Tells X who has the keyboard, where that is another window than before."""
        if not self._keyboard_moved or self._manager is None:
            return
        self._keyboard_moved = False
        self._was_given = True
        self._manager.enter_keyboard(self._window_of(self._keyboard))
        if self._keyboard is not None and self._selections is not None:
            self._selections.focus_came()

    def _start_selections(self, client: XClient, objects: Objects, dispatch: Dispatch, window: int) -> Stage:
        transfers = Transfers(client, self._loop)
        stage = Stage(transfers, self._mediator, self._seats, self._association.window_of, self._show)
        stage.keeps_clipboard = self._keeps_clipboard
        stage.start()
        drags = Drags(stage, self._surfaces)
        selections = Selections(stage, drags, objects, self._globals, window)
        dispatch.selection_event = selections.handle
        dispatch.other_message = drags.handle_message
        dispatch.watches = selections.watches
        selections.start()
        self._selections = selections
        return stage

    def _show(self, surface: Surface) -> None:
        """Puts a window above all others in X; who asks for that sees to the order of things."""
        window = self._window_of(surface)
        if window is not None and self._manager is not None:
            self._pointed = surface
            self._manager.enter_pointer(window)

    def _window_of(self, surface: Surface | None) -> Window | None:
        return None if surface is None else self._association.window_of(surface)

    def _pair(self, window: Window, surface: Surface | None) -> None:
        if self._manager is None:
            return
        if surface is not None and surface.is_surplus:
            self._manager.lack_surface(window)
        else:
            self._manager.set_surface(window, surface)


def _draw_arrow(factor: float) -> Arrow:
    """Returns the usual pointer for a screen of so many px in place of one."""
    side = side_of(factor)
    return Arrow(side, spot_of(Edge.NONE, factor), draw_pointer(Edge.NONE, side))
