"""_NET_WM_ICON to xdg_toplevel_icon_v1: no compositor of the tests has it, so its messages are looked at."""

import os

from crossdomain.wire.codec import Value, decode_arguments, decode_header
from launcher.xwayland.model.properties import IconImage
from launcher.xwayland.shell.icon import Icon, Icons
from launcher.xwayland.shell.objects import Objects
from launcher.xwayland.wayland.globals import Globals
from tests.unit.xwayland.test_mediator import TABLES, Rig

NAMES = {
    "wl_compositor": 4, "wl_subcompositor": 1, "wl_shm": 1, "xdg_wm_base": 3,
    "xdg_toplevel_icon_manager_v1": 1,
}  # fmt: skip
SMALL = IconImage(1, 1, bytes((0x10, 0x20, 0x30, 0xFF)))
WIDE = IconImage(2, 1, bytes((0x80, 0x40, 0x20, 0x80)) * 2)


class IconRig(Rig):
    """A compositor with icons, and one toplevel."""

    def __init__(self, *sides: int) -> None:
        super().__init__()
        found = Globals(self.mediator, TABLES)
        found.start(lambda: None)
        registry = self.sent()[0][0] + 1
        for number, (name, version) in enumerate(NAMES.items(), 1):
            self.event("wl_registry", registry, "global", number, name, version)
        self.objects = Objects(found)
        self.icons = Icons(self.objects)
        manager = self.objects.find("xdg_toplevel_icon_manager_v1")
        assert manager is not None
        self.manager = manager.entry.host_id
        for side in sides:
            self.event("xdg_toplevel_icon_manager_v1", self.manager, "icon_size", side)
        surface = self.objects["xdg_wm_base"]
        self.icon = Icon(self.icons, surface)
        self.toplevel = surface.entry.host_id
        self.to_host.data.clear()

    def take(self) -> list[tuple[str, tuple[Value, ...]]]:
        """The names and values of what was sent to the compositor, as far as it is about icons."""
        found: list[tuple[str, tuple[Value, ...]]] = []
        data, position = bytes(self.to_host.data), 0
        while (header := decode_header(data, position)) is not None:
            entry = self.mediator.find_host(header.object_id)
            assert entry is not None
            message = self.mediator.describe(entry.interface).requests[header.opcode]
            if "icon" in entry.interface:
                found.append(
                    (message.name, tuple(decode_arguments(message, data[position : position + header.size])))
                )
            position += header.size
        self.to_host.data.clear()
        return found

    def close(self) -> list[bytes]:
        """Give the icon up; what was in its buffers."""
        self.icon.destroy()
        pixels = [os.pread(fd, 64, 0) for fd in self.to_host.fds]
        for fd in self.to_host.fds:
            os.close(fd)
        return pixels


def test_a_window_gets_the_icon_that_fits_what_the_compositor_likes() -> None:
    rig = IconRig(1)
    rig.icon.set((WIDE, SMALL))
    sent = rig.take()
    assert [name for name, _ in sent] == ["create_icon", "add_buffer", "set_icon", "destroy"]
    assert sent[2][1][0] == rig.toplevel
    (pixels,) = rig.close()
    assert pixels[:4] == SMALL.pixels


def test_an_icon_is_made_square_and_premultiplied() -> None:
    rig = IconRig()
    rig.icon.set((WIDE,))
    (pixels,) = rig.close()
    assert pixels[:16] == bytes((0x40, 0x20, 0x10, 0x80)) * 2 + bytes(8)


def test_the_same_icon_is_sent_once_and_none_takes_it_away() -> None:
    rig = IconRig()
    images = (SMALL,)
    rig.icon.set(images)
    rig.take()
    rig.icon.set(images)
    assert rig.take() == []
    rig.icon.set(())
    assert rig.take() == [("set_icon", (rig.toplevel, 0))]
    rig.close()
