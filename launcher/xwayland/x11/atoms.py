"""The atoms that the window manager uses."""

from typing import Final

from launcher.xwayland.model.names import ORDER, Action, Protocol, State, WindowType

PREDEFINED: Final = {
    "PRIMARY": 1,
    "ATOM": 4,
    "CARDINAL": 6,
    "INTEGER": 19,
    "RESOURCE_MANAGER": 23,
    "STRING": 31,
    "WINDOW": 33,
    "WM_HINTS": 35,
    "WM_CLIENT_MACHINE": 36,
    "WM_ICON_NAME": 37,
    "WM_NAME": 39,
    "WM_NORMAL_HINTS": 40,
    "WM_CLASS": 67,
    "WM_TRANSIENT_FOR": 68,
}
"""Atoms that every server has (X11 protocol, appendix A)."""

_SUPPORTED: Final = (
    "_NET_SUPPORTED",
    "_NET_SUPPORTING_WM_CHECK",
    "_NET_CLIENT_LIST",
    "_NET_CLIENT_LIST_STACKING",
    "_NET_NUMBER_OF_DESKTOPS",
    "_NET_DESKTOP_GEOMETRY",
    "_NET_DESKTOP_VIEWPORT",
    "_NET_CURRENT_DESKTOP",
    "_NET_DESKTOP_NAMES",
    "_NET_ACTIVE_WINDOW",
    "_NET_WORKAREA",
    "_NET_CLOSE_WINDOW",
    "_NET_MOVERESIZE_WINDOW",
    "_NET_WM_MOVERESIZE",
    "_NET_REQUEST_FRAME_EXTENTS",
    "_NET_FRAME_EXTENTS",
    "_NET_WM_NAME",
    "_NET_WM_ICON",
    "_NET_WM_PID",
    "_NET_WM_DESKTOP",
    "_NET_WM_STATE",
    "_NET_WM_WINDOW_TYPE",
    "_NET_WM_ALLOWED_ACTIONS",
    "_NET_WM_WINDOW_OPACITY",
    "_NET_WM_SYNC_REQUEST_COUNTER",
    "_NET_STARTUP_ID",
    "_GTK_FRAME_EXTENTS",
)

_OTHERS: Final = (
    "UTF8_STRING",
    "COMPOUND_TEXT",
    "C_STRING",
    "MANAGER",
    "WM_S0",
    "_NET_WM_CM_S0",
    "_XSETTINGS_S0",
    "_XSETTINGS_SETTINGS",
    "WM_PROTOCOLS",
    "WM_STATE",
    "WM_CHANGE_STATE",
    "WM_CLIENT_LEADER",
    "WM_SIZE_HINTS",
    "_MOTIF_WM_HINTS",
    "WL_SURFACE_ID",
    "WL_SURFACE_SERIAL",
    "_XWAYLAND_ALLOW_COMMITS",
    "_XWAYLAND_RANDR_EMU_MONITOR_RECTS",
    "_NET_STARTUP_INFO",
    "_NET_STARTUP_INFO_BEGIN",
    "CLIPBOARD",
    "TARGETS",
    "TIMESTAMP",
    "MULTIPLE",
    "ATOM_PAIR",
    "INCR",
    "TEXT",
    "_CROSSDOMAIN_DATA",
    "_CROSSDOMAIN_TIME",
    "XdndAware",
    "XdndProxy",
    "XdndSelection",
    "XdndTypeList",
    "XdndActionList",
    "XdndEnter",
    "XdndPosition",
    "XdndStatus",
    "XdndLeave",
    "XdndDrop",
    "XdndFinished",
    "XdndActionCopy",
    "XdndActionMove",
)

SUPPORTED: Final = (
    *_SUPPORTED,
    *(state.value for state in State if state not in ORDER),
    *(type_.value for type_ in WindowType),
    *(action.value for action in Action),
    *(protocol.value for protocol in Protocol if protocol.value.startswith("_NET")),
)
"""_NET_SUPPORTED: what has an effect, and nothing else; clients ask here what they can offer their users."""

NEEDED: Final = tuple(
    dict.fromkeys(
        (*SUPPORTED, *_OTHERS, *(state.value for state in ORDER), *(protocol.value for protocol in Protocol))
    )
)
"""Atoms to be interned."""


class Atoms:
    """Names to numbers and back."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = dict(PREDEFINED)
        self._names: dict[int, str] = {number: name for name, number in PREDEFINED.items()}

    def __getitem__(self, name: str) -> int:
        """Returns the number of an atom that is known."""
        return self._numbers[name]

    def knows(self, name: str) -> bool:
        """Whether the number of an atom is known."""
        return name in self._numbers

    def add(self, name: str, number: int) -> None:
        """Takes in an atom that was interned."""
        self._numbers[name] = number
        self._names[number] = name

    def name(self, number: int) -> str | None:
        """Returns an atom's name, None where it is none of those that matter."""
        return self._names.get(number)
