"""Whatever X clients, Xwayland and the compositor do, in whatever order: the model keeps its promises."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from launcher.xwayland.model.frame import FrameMetrics
from launcher.xwayland.model.geometry import Extents, Rectangle, Screen, Size, SizeHints
from launcher.xwayland.model.manager import Manager
from launcher.xwayland.model.names import Protocol, State, WindowType
from launcher.xwayland.model.placement import root_of
from launcher.xwayland.model.popup import Popup
from launcher.xwayland.model.ports import ShellState
from launcher.xwayland.model.properties import MotifDecoration, MotifHints, WmHints
from launcher.xwayland.model.requests import Change, ConfigureMask, Requests, Wish
from launcher.xwayland.model.toplevel import Toplevel
from launcher.xwayland.model.window import Window
from tests.fakes.x11_ports import FakePopup, FakeShell, FakeToplevel, FakeX

coordinates = st.integers(-32768, 32767)
lengths = st.integers(1, 2000)
rectangles = st.builds(Rectangle, coordinates, coordinates, lengths, lengths)
near = st.builds(Rectangle, st.integers(-50, 900), st.integers(-50, 700), lengths, lengths)
shell_states = st.frozensets(st.sampled_from(ShellState), max_size=4)
shell_sizes = st.builds(Size, st.integers(0, 2000), st.integers(0, 2000))


class ModelMachine(RuleBasedStateMachine):
    """X, Xwayland and a compositor, each doing what it may at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.x = FakeX()
        self.shell = FakeShell()
        self.manager = Manager(self.x, self.shell, FrameMetrics())
        self.manager.screen = Screen(1024, 768)
        self.requests = Requests(self.manager)
        self.numbers = itertools.count(1)

    def pick(self, data: st.DataObject, *, shown: bool = False) -> Window | None:
        """Any window, or any with a role."""
        windows = [w for w in self.manager.windows.values() if w.role is not None or not shown]
        return data.draw(st.sampled_from(windows)) if windows else None

    # X clients.

    @rule(place=rectangles | near, override=st.booleans(), border=st.integers(0, 5), client=st.integers(1, 2))
    def create(self, place: Rectangle, override: bool, border: int, client: int) -> None:
        number = client << 21 | next(self.numbers)
        self.manager.create(number, place, border, override_redirect=override)

    @rule(data=st.data())
    def describe(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is None:
            return
        window.transient_for = data.draw(st.sampled_from([0, 7, *self.manager.windows]))
        window.types = tuple(data.draw(st.lists(st.sampled_from(WindowType), max_size=2)))
        window.protocols = data.draw(st.frozensets(st.sampled_from(Protocol)))
        window.wm_hints = WmHints(accepts_input=data.draw(st.booleans()), urgent=data.draw(st.booleans()))
        window.sync_counter = data.draw(st.integers(0, 1))
        window.startup_id = data.draw(st.sampled_from(["", "token"]))
        window.motif = MotifHints(decorations=data.draw(st.sampled_from([None, MotifDecoration(0)])))
        window.gtk_extents = data.draw(st.sampled_from([None, Extents(26, 26, 23, 29)]))
        window.hints = SizeHints(minimum=Size(data.draw(lengths), 10), increment=Size(7, 13))
        if not window.mapped:
            window.states = set(data.draw(st.frozensets(st.sampled_from(State))))
        self.manager.refresh(window)

    @rule(data=st.data())
    def show(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is None or window.mapped:
            return
        if not window.override_redirect:
            self.manager.request_map(window)
        self.manager.map(window, override_redirect=window.override_redirect)
        window.is_ready = True
        self.manager.assign_role(window)

    @initialize(places=st.lists(near, min_size=2, max_size=2))
    def begin(self, places: list[Rectangle]) -> None:
        for place in places:
            self.open_window(place)
        self.configure_everything()

    @rule(place=near)
    def open_window(self, place: Rectangle) -> None:
        window = self.manager.create(next(self.numbers), place, 0, override_redirect=False)
        self.manager.request_map(window)
        self.manager.map(window, override_redirect=False)
        self.manager.set_surface(window, f"surface {next(self.numbers)}")

    @rule(data=st.data(), x=st.integers(-10, 100), y=st.integers(-10, 100))
    def open_menu(self, data: st.DataObject, x: int, y: int) -> None:
        parent = self.pick(data, shown=True)
        if parent is not None:
            place = Rectangle(parent.rectangle.x + x, parent.rectangle.y + y, 50, 80)
            window = self.manager.create(next(self.numbers), place, 1, override_redirect=True)
            window.transient_for = data.draw(st.sampled_from([0, parent.window]))
            window.is_ready = True
            self.manager.map(window, override_redirect=True)
            self.manager.set_surface(window, f"surface {next(self.numbers)}")
            if data.draw(st.booleans()):
                self.manager.configure_popup(window, x, y)

    @rule(data=st.data())
    def unmap(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is not None and window.mapped:
            self.manager.unmap(window)

    @rule(data=st.data())
    def destroy(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.destroy(window.window)

    @rule(data=st.data(), place=rectangles | near)
    def move(self, data: st.DataObject, place: Rectangle) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.move(window, place, window.border_width)

    @rule(data=st.data(), mask=st.integers(0, 31), place=rectangles, border=st.integers(0, 70000))
    def wish(self, data: st.DataObject, mask: int, place: Rectangle, border: int) -> None:
        window = self.pick(data)
        if window is not None:
            self.requests.configure(window, Wish(ConfigureMask(mask), *place, border))

    @rule(
        data=st.data(),
        change=st.sampled_from(Change),
        states=st.frozensets(st.sampled_from(State), max_size=2),
    )
    def ask_state(self, data: st.DataObject, change: Change, states: frozenset[State]) -> None:
        window = self.pick(data)
        if window is not None:
            self.requests.change_states(window, change, states)

    @rule(data=st.data(), direction=st.integers(0, 20), flags=st.integers(0, 0xFFFF), place=rectangles)
    def ask_more(self, data: st.DataObject, direction: int, flags: int, place: Rectangle) -> None:
        window = self.pick(data)
        if window is None:
            return
        self.requests.drag(window, direction)
        self.requests.move_resize(window, flags, *place)
        self.requests.iconify(window)
        self.requests.activate(window)
        self.requests.tell_frame_extents(window)

    @rule(data=st.data())
    def draw(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.drawn(window)

    @rule(data=st.data(), gained=st.booleans())
    def change_focus(self, data: st.DataObject, gained: bool) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.focus.change_holder(window, gained=gained)

    # Xwayland.

    @rule(data=st.data())
    def pair(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.set_surface(window, f"surface {next(self.numbers)}")

    @rule(data=st.data())
    def part(self, data: st.DataObject) -> None:
        window = self.pick(data)
        if window is not None:
            self.manager.set_surface(window, None)

    @rule(data=st.data())
    def commit_what_was_asked(self, data: st.DataObject) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.commit(window, window.rectangle.size)

    @rule(data=st.data(), size=st.builds(Size, lengths, lengths))
    def commit_anything(self, data: st.DataObject, size: Size) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.commit(window, size)

    # The compositor and its user.

    @rule()
    def configure_everything(self) -> None:
        for window in self.manager.windows.values():
            if window.role is not None and isinstance(window.role.port, FakeToplevel):
                self.manager.configure(window, window.role.port.next_configure(Size(0, 0), frozenset()))
            elif isinstance(window.role, Popup):
                self.manager.configure_popup(window, 3, 4)

    @rule(data=st.data(), size=shell_sizes, states=shell_states)
    def configure(self, data: st.DataObject, size: Size, states: frozenset[ShellState]) -> None:
        window = self.pick(data, shown=True)
        if window is not None and window.role is not None and isinstance(window.role.port, FakeToplevel):
            self.manager.configure(window, window.role.port.next_configure(size, states))

    @rule(size=st.builds(Size, lengths, lengths))
    def resize_screen(self, size: Size) -> None:
        self.manager.resize_screen(size)

    @rule(outputs=st.lists(st.builds(Rectangle, lengths, lengths, lengths, lengths), max_size=3))
    def place_outputs(self, outputs: list[Rectangle]) -> None:
        self.manager.place_outputs(tuple(outputs))

    @rule(data=st.data(), x=st.integers(-500, 500), y=st.integers(-500, 500))
    def configure_popup(self, data: st.DataObject, x: int, y: int) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.configure_popup(window, x, y)

    @rule(data=st.data())
    def dismiss(self, data: st.DataObject) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.dismiss_popup(window)

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.close(window)

    @rule(data=st.data())
    def point(self, data: st.DataObject) -> None:
        window = self.pick(data, shown=True)
        if window is not None:
            self.manager.enter_pointer(window)

    @rule(data=st.data(), nobody=st.booleans())
    def type(self, data: st.DataObject, nobody: bool) -> None:
        self.manager.enter_keyboard(None if nobody else self.pick(data, shown=True))

    # What always holds.

    @invariant()
    def a_role_is_a_shown_windows(self) -> None:
        with_role = [window for window in self.manager.windows.values() if window.role is not None]
        assert {window.surface for window in with_role} == set(self.shell.roles)
        for window in with_role:
            assert window.mapped
            assert window.is_ready
            assert window.role is not None
            assert self.shell.roles[window.surface] is window.role.port
            assert window.role.configured == self.shell.roles[window.surface].released

    @invariant()
    def every_popup_ends_in_a_toplevel(self) -> None:
        for window in self.manager.windows.values():
            if isinstance(window.role, Popup):
                assert isinstance(root_of(window).role, Toplevel)
                assert isinstance(window.role.port, FakePopup)

    @invariant()
    def who_has_the_keyboard_is_shown(self) -> None:
        focused = self.manager.focus.window
        assert self.x.active == (0 if focused is None else focused.window)
        assert focused is None or focused.role is not None
        assert focused is not None or not self.manager.focus.is_due

    @invariant()
    def every_mapped_window_is_in_the_stack_once(self) -> None:
        stacked = list(self.manager.stack)
        assert sorted(stacked) == sorted(w.window for w in self.manager.windows.values() if w.mapped)

    @invariant()
    def the_lists_are_those_of_the_managed_windows(self) -> None:
        self.manager.flush_lists()
        mapped = [w.window for w in self.manager.windows.values() if w.mapped]
        assert set(self.x.clients) <= set(mapped)

    @precondition(lambda self: self.manager.windows)
    @invariant()
    def a_shown_toplevel_has_a_title_as_large_as_it_is(self) -> None:
        for window in self.manager.windows.values():
            if isinstance(window.role, Toplevel) and window.role.configured:
                port = window.role.port
                assert isinstance(port, FakeToplevel)
                assert port.shown is not None


ModelMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_the_model_keeps_its_promises = ModelMachine.TestCase
