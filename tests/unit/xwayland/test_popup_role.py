"""Menus as the compositor hears of them, whatever version of xdg-shell it has."""

from collections.abc import Generator

import pytest

from launcher.xwayland.model.geometry import Rectangle, Size
from launcher.xwayland.model.window import Window
from launcher.xwayland.shell.popup import PopupRole
from tests.unit.xwayland.shell_rig import NEEDED, ShellRig

HEARD = ("xdg_wm_base", "xdg_surface", "xdg_popup")


class MenuRig(ShellRig):
    """With a menu on a window."""

    def __init__(self, version: int) -> None:
        super().__init__({**NEEDED, "xdg_wm_base": version})
        self.parent = self.open(1)
        self.configure(self.parent, Size(0, 0))
        self.place = self.parent.rectangle._replace(width=50, height=60)
        self.menu = self._open_menu()
        self.answer()
        self.said(HEARD)

    def _open_menu(self) -> Window:
        menu = self.manager.create(2, self.place, 0, override_redirect=True)
        menu.is_ready = True
        self.manager.map(menu, override_redirect=True)
        self.request("wl_compositor", 3, "create_surface", 12)
        self.manager.set_surface(menu, self.surface(2))
        return menu

    @property
    def port(self) -> PopupRole:
        """The menu's."""
        assert self.menu.role is not None
        assert isinstance(self.menu.role.port, PopupRole)
        return self.menu.role.port

    def answer(self) -> None:
        """The compositor shows it."""
        self.event("xdg_surface", self.port.xdg_surface.entry.host_id, "configure", 7)

    def move(self) -> list[str]:
        """The menu's client moves it; returns what the compositor hears of that."""
        self.place = Rectangle(self.place.x + 5, self.place.y + 9, 50, 60)
        self.manager.move(self.menu, self.place, 0)
        return [name for name, _ in self.said(HEARD) if name.startswith(("get_", "reposition", "destroy"))]


@pytest.fixture
def rigs() -> Generator[dict[int, MenuRig]]:
    """One for each version."""
    made = {version: MenuRig(version) for version in (1, 2, 3)}
    yield made
    for rig in made.values():
        rig.manager.unmap(rig.menu)
        rig.manager.unmap(rig.parent)
        rig.close()


def test_a_menu_that_moves_is_moved(rigs: dict[int, MenuRig]) -> None:
    assert rigs[3].move() == ["reposition"]


@pytest.mark.parametrize("version", [1, 2])
def test_it_is_made_anew_where_the_compositor_can_not_move_it(rigs: dict[int, MenuRig], version: int) -> None:
    rig = rigs[version]
    before = rig.port
    assert "reposition" not in rig.move()
    assert rig.port is not before
    assert rig.surface(2).is_held
    rig.answer()
    assert not rig.surface(2).is_held
    assert rig.menu.rectangle == rig.place
