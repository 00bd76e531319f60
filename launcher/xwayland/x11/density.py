"""Tells X clients how dense the screen is, in the two ways that toolkits look for.

The resources of the root window (Xrm: Xft.dpi, Xcursor.size) are for Xft, Qt and libXcursor; XSETTINGS
is for GTK, which draws in whole multiples of its own px and makes letters larger for the rest.
"""

import struct
from collections.abc import Mapping
from typing import Final

from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.client import XClient
from launcher.xwayland.x11.requests import EventMask

_USUAL_DPI: Final = 96
_USUAL_CURSOR: Final = 24
"""px of a cursor's side."""
_XSETTINGS_DPI: Final = 1024
"""XSETTINGS counts 1024ths of a dpi."""
_INTEGER: Final = 0
_LSB_FIRST: Final = 0


def tell_density(client: XClient, window: int, factor: float) -> None:
    """Before other clients connect; our own `window` becomes that of the settings' manager (XSETTINGS)."""
    resources = f"Xft.dpi:\t{round(_USUAL_DPI * factor)}\nXcursor.size:\t{round(_USUAL_CURSOR * factor)}\n"
    client.set_bytes(client.root, "RESOURCE_MANAGER", "STRING", resources.encode())
    settings = encode_settings(settings_of(factor))
    client.set_bytes(window, "_XSETTINGS_SETTINGS", "_XSETTINGS_SETTINGS", settings)
    selection = client.atoms["_XSETTINGS_S0"]
    client.request(requests.set_selection_owner(window, selection, requests.CURRENT_TIME))
    client.send_message(
        client.root, client.root, "MANAGER", (client.now(), selection, window), EventMask.STRUCTURE_NOTIFY
    )


def settings_of(factor: float) -> dict[str, int]:
    """Returns the settings (XSETTINGS) for so many px in place of one."""
    whole = int(factor)
    return {
        "Gdk/UnscaledDPI": round(_USUAL_DPI * _XSETTINGS_DPI * factor / whole),
        "Gdk/WindowScalingFactor": whole,
        "Gtk/CursorThemeSize": round(_USUAL_CURSOR * factor),
        "Xft/DPI": round(_USUAL_DPI * _XSETTINGS_DPI * factor),
    }


def encode_settings(settings: Mapping[str, int]) -> bytes:
    """Returns the property _XSETTINGS_SETTINGS (XSETTINGS 0.5), of numbers alone."""
    encoded = struct.pack("<BxxxII", _LSB_FIRST, 0, len(settings))
    for name, value in settings.items():
        padded = name.encode() + bytes(-len(name) % 4)
        encoded += struct.pack("<BxH", _INTEGER, len(name)) + padded + struct.pack("<Ii", 0, value)
    return encoded
