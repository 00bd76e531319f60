"""The compositor's globals that we use ourselves; every one but the first four may be missing."""

from typing import Final

from crossdomain.errors import EnvironmentFault
from crossdomain.wire.codec import integer
from launcher.xwayland.wayland.globals import Globals
from launcher.xwayland.wayland.proxy import Proxy

_NEEDED: Final = (("wl_compositor", 4), ("wl_subcompositor", 1), ("wl_shm", 1), ("xdg_wm_base", 5))
_OPTIONAL: Final = (
    ("zxdg_decoration_manager_v1", 1),
    ("xdg_wm_dialog_v1", 1),
    ("xdg_toplevel_icon_manager_v1", 1),
    ("xdg_activation_v1", 1),
    ("wp_viewporter", 1),
    ("wp_cursor_shape_manager_v1", 1),
    ("wp_alpha_modifier_v1", 1),
    ("wl_data_device_manager", 3),
    ("zwp_primary_selection_device_manager_v1", 1),
    ("zwp_keyboard_shortcuts_inhibit_manager_v1", 1),
)
_OF_WESTON: Final = "zwp_input_timestamps_manager_v1"
"""Of the compositors that leave frames to us only Weston has this; it places contents alone."""


class Objects:
    """What was bound; made when the globals are known."""

    def __init__(self, found: Globals) -> None:
        """Binds them.

        Raises EnvironmentFault where the compositor can't show windows.
        """
        self._bound: dict[str, Proxy] = {}
        for interface, version in (*_NEEDED, *_OPTIONAL):
            bound = found.bind(interface, version)
            if bound is not None:
                self._bound[interface] = bound
        self.places_contents = (
            found.find(_OF_WESTON) is not None and found.find("zxdg_decoration_manager_v1") is None
        )
        """Whether new windows get their places by their contents alone, as if frames of ours were none."""
        for interface, _ in _NEEDED:
            if interface not in self._bound:
                raise EnvironmentFault(
                    f"the compositor has no {interface}", hint="X11 applications need one with xdg-shell"
                )
        wm_base = self._bound["xdg_wm_base"]
        wm_base.handlers["ping"] = lambda values, _fds: wm_base.send("pong", integer(values[0]))

    def __getitem__(self, interface: str) -> Proxy:
        """Returns one of those that are needed."""
        return self._bound[interface]

    def find(self, interface: str) -> Proxy | None:
        """Returns one of those that may be missing."""
        return self._bound.get(interface)
