"""Menus, tooltips and the like: on the right parent, at the right place."""

import pytest

from launcher.xwayland.model.geometry import Rectangle
from launcher.xwayland.model.names import Kind, WindowType
from launcher.xwayland.model.placement import choose_role
from launcher.xwayland.model.window import Window
from tests.fakes.x11_ports import FakePopup, FakeToplevel
from tests.unit.xwayland.test_toplevel import Desk

CLIENT, OTHER = 1 << 21, 2 << 21


@pytest.fixture
def desk() -> Desk:
    """With a window at (100, 100) of 400 x 300 px."""
    made = Desk()
    window = made.open(CLIENT | 1)
    window.rectangle = Rectangle(100, 100, 400, 300)
    return made


def window_of(desk: Desk) -> Window:
    """The desk's window."""
    return desk.manager.windows[CLIENT | 1]


def menu(
    desk: Desk, number: int, place: Rectangle, *, type_: WindowType | None = None, owner: int = 0
) -> Window:
    """An override-redirect window that is mapped and has a surface."""
    window = desk.manager.create(number, place, 0, override_redirect=True)
    window.types = () if type_ is None else (type_,)
    window.transient_for = owner
    window.is_ready = True
    desk.manager.map(window, override_redirect=True)
    desk.manager.set_surface(window, f"surface of {number}")
    return window


def port_of(window: Window) -> FakePopup:
    """The compositor's end of a popup."""
    assert window.role is not None
    assert isinstance(window.role.port, FakePopup)
    return window.role.port


def kind_of(desk: Desk, window: Window) -> Kind:
    """What would become of it now."""
    return choose_role(window, desk.manager.windows, desk.manager.recent, desk.manager.focus.window)[0]


def test_a_menu_is_put_where_it_is_on_the_x_screen(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    assert port_of(opened).place == (10, 30, 80, 200)
    assert port_of(opened).window is opened


def test_its_contents_wait_for_its_place(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    assert not port_of(opened).released
    desk.manager.configure_popup(opened, 10, 30)
    assert port_of(opened).released
    assert ("move", CLIENT | 2, 110, 130) not in desk.x.asked


def test_what_the_compositor_moves_is_moved_on_the_x_screen(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    desk.manager.configure_popup(opened, 10, -20)
    assert desk.x.asked[-1] == ("move", CLIENT | 2, 110, 80)


def test_a_menu_that_its_client_moves_is_moved(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    desk.manager.configure_popup(opened, 10, 30)
    desk.manager.move(opened, Rectangle(120, 150, 80, 200), 0)
    assert port_of(opened).place == (20, 50, 80, 200)


def test_menus_beside_each_other_are_both_on_the_window(desk: Desk) -> None:
    """So that one can close while the other is open."""
    first = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    desk.manager.configure_popup(first, 10, 30)
    second = menu(desk, CLIENT | 3, Rectangle(190, 130, 80, 200))
    assert port_of(second).parent is port_of(first).parent
    desk.manager.unmap(first)
    assert port_of(second).alive


def test_a_submenu_beside_the_window_is_on_its_menu(desk: Desk) -> None:
    first = menu(desk, CLIENT | 2, Rectangle(450, 130, 80, 200))
    desk.manager.configure_popup(first, 350, 30)
    second = menu(desk, CLIENT | 3, Rectangle(530, 140, 80, 200))
    assert port_of(second).parent is port_of(first)
    assert port_of(second).place[:2] == (80, 10)


def test_a_menu_goes_with_its_parent_and_comes_to_another(desk: Desk) -> None:
    first = menu(desk, CLIENT | 2, Rectangle(450, 130, 80, 200))
    desk.manager.configure_popup(first, 350, 30)
    second = menu(desk, CLIENT | 3, Rectangle(530, 140, 80, 200), type_=WindowType.POPUP_MENU)
    desk.manager.unmap(first)
    assert port_of(second).parent is desk.shell.roles[window_of(desk).surface]


def test_what_was_on_a_window_that_is_gone_waits_for_another(desk: Desk) -> None:
    """Its surface can be no toplevel's any more."""
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200), type_=WindowType.POPUP_MENU)
    desk.manager.unmap(window_of(desk))
    assert opened.role is None
    second = desk.open(CLIENT | 3)
    assert port_of(opened).parent is desk.shell.roles[second.surface]


def test_with_a_new_surface_it_may_become_anything(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    desk.manager.unmap(window_of(desk))
    desk.manager.set_surface(opened, "another surface")
    assert opened.role is not None
    assert isinstance(opened.role.port, FakeToplevel)


def test_a_menu_waits_for_its_window(desk: Desk) -> None:
    late = desk.add(CLIENT | 5, Rectangle(2000, 2000, 100, 100))
    desk.map(late)
    late.rectangle = Rectangle(2000, 2000, 100, 100)
    opened = menu(desk, CLIENT | 6, Rectangle(2010, 2010, 50, 50))
    assert opened.role is None
    desk.configure(late)
    assert port_of(opened).parent is desk.shell.roles[late.surface]


def test_the_window_that_was_used_last_gets_the_menu(desk: Desk) -> None:
    second = desk.open(CLIENT | 7)
    second.rectangle = Rectangle(100, 100, 400, 300)
    desk.manager.enter_pointer(window_of(desk))
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    assert port_of(opened).parent is desk.shell.roles[window_of(desk).surface]


def test_what_a_menu_says_itself_counts_more(desk: Desk) -> None:
    second = desk.open(CLIENT | 7)
    second.rectangle = Rectangle(100, 100, 400, 300)
    desk.manager.enter_pointer(window_of(desk))
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200), owner=CLIENT | 7)
    assert port_of(opened).parent is desk.shell.roles[second.surface]


def test_an_input_methods_window_is_on_who_has_the_keyboard(desk: Desk) -> None:
    desk.manager.enter_keyboard(window_of(desk))
    opened = menu(desk, OTHER | 2, Rectangle(110, 130, 80, 200))
    assert port_of(opened).parent is desk.shell.roles[window_of(desk).surface]


def test_a_window_of_nobodys_is_a_toplevel_without_a_frame(desk: Desk) -> None:
    opened = menu(desk, OTHER | 2, Rectangle(600, 600, 80, 200))
    assert opened.role is not None
    assert isinstance(opened.role.port, FakeToplevel)
    assert not opened.wants_frame


def test_a_drag_icon_is_exactly_where_it_is_asked_to_be(desk: Desk) -> None:
    icon = menu(desk, CLIENT | 2, Rectangle(110, 130, 32, 32), type_=WindowType.DND)
    assert kind_of(desk, icon) is Kind.SUBSURFACE
    assert port_of(icon).released


def test_a_tooltip_far_from_its_window_is_no_popup(desk: Desk) -> None:
    """xdg_popups have to touch their parent."""
    tip = menu(desk, CLIENT | 2, Rectangle(700, 700, 50, 20), type_=WindowType.TOOLTIP)
    assert kind_of(desk, tip) is Kind.SUBSURFACE


def test_a_menu_that_the_compositor_closes_comes_again(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    first = port_of(opened)
    desk.manager.dismiss_popup(opened)
    assert not first.alive
    assert port_of(opened).alive


def test_a_menu_that_the_compositor_never_wants_is_given_up(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    for _ in range(4):
        desk.manager.dismiss_popup(opened)
    assert opened.role is None


def test_the_keyboard_stays_with_the_window(desk: Desk) -> None:
    opened = menu(desk, CLIENT | 2, Rectangle(110, 130, 80, 200))
    desk.manager.enter_keyboard(opened)
    assert desk.x.active == CLIENT | 1
    assert desk.x.focus == CLIENT | 1


def test_its_border_counts_as_the_menu(desk: Desk) -> None:
    window = desk.manager.create(CLIENT | 2, Rectangle(110, 130, 80, 200), 1, override_redirect=True)
    window.is_ready = True
    desk.manager.map(window, override_redirect=True)
    desk.manager.set_surface(window, "surface")
    assert port_of(window).place == (10, 30, 82, 202)
