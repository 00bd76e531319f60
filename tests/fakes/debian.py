"""The Debian root that tests take sway and whole applications out of: `python -m tests.fakes.debian`.

Newer than what the machine has itself, and an image that a virtual machine boots as well.  It is made once
and kept beside the product's own image; run as a program it shows the progress of that.
"""

from typing import Final

from crossdomain.vm import image

RECIPE: Final = image.Recipe(
    extra_packages=(
        "sway", "grim", "wtype", "firefox-esr", "chromium", "mpv", "ffmpeg", "kitty", "gtk-3-examples",
        "zenity", "yad", "featherpad", "qt6-wayland", "libsdl2-tests", "libgl1-mesa-dri",
        "adwaita-icon-theme", "fonts-noto-core", "libreoffice-writer", "libreoffice-gtk3",
        "libwlroots-0.18-dev",
    )
)  # fmt: skip


def obtain() -> image.Image:
    """The root, made where there is none; takes minutes then."""
    return image.obtain(RECIPE)


if __name__ == "__main__":
    obtain()
