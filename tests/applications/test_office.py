"""A letter is written in LibreOffice: typed and saved, with a dialog and the menus."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from crossdomain.vm.image import Image
from crossdomain.vm.seat import KEY_LEFT_ALT, KEY_LEFT_CONTROL
from tests.applications.conftest import Scene
from tests.fakes.applications import RunningApplication
from tests.fakes.stage import APPLICATION_SECONDS, await_no_window, await_window, keep, press
from tests.fakes.weston import wait_until

pytestmark = pytest.mark.timeout(600)

KEY_ESCAPE, KEY_Q, KEY_S, KEY_H = 1, 16, 31, 35
MENU_KEYS: Final = {"File": 33, "Edit": 18, "View": 47, "Insert": 23, "Format": 24, "Table": 20}
"""The letter that opens each of them together with Alt, as an evdev code."""

DIALOGS: Final = 5
"""How often the dialog is opened and closed."""

PAPER: Final = (slice(260, 460), slice(20, 900))
"""Where menus open, and nothing is written, on the screen: rows, columns."""

COMMAND: Final = ("libreoffice", "--norestore", "--nologo", "--nofirststartwizard", "--writer")

LETTER: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.3"
 office:mimetype="application/vnd.oasis.opendocument.text">
<office:body><office:text><text:p/></office:text></office:body></office:document>
"""


@contextmanager
def writer(scene: Scene, debian: Image, folder: Path) -> Generator[RunningApplication]:
    """The word processor with an empty letter."""
    letter = folder / "letter.fodt"
    letter.write_text(LETTER)
    with scene.running(debian, folder, [*COMMAND, str(letter)]) as app:
        await_window(scene.stage, "letter.fodt")
        yield app


def type_and_save(scene: Scene, folder: Path, text: str) -> None:
    """Type into the letter; returns when it stands in its file."""
    scene.stage.seat.type(text)
    press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_S)
    wait_until(
        lambda: text in (folder / "letter.fodt").read_text(),
        seconds=APPLICATION_SECONDS,
        what=f"{text!r} in the file",
    )


def test_a_letter_is_typed_searched_and_saved(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    with writer(scene, debian, runtime_dir) as app:
        type_and_save(scene, runtime_dir, "Dear reader, (Office)")
        keep(scene.stage, f"office-{scene.name}")
        for _ in range(DIALOGS):
            press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_H)
            await_window(scene.stage, "Find")
            scene.stage.seat.tap(KEY_ESCAPE)
            await_no_window(scene.stage, "Find")
        press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_Q)
        assert app.wait() == 0, app.log
    await_no_window(scene.stage, "letter.fodt")


def test_each_menu_of_an_office_program_opens_and_closes(
    sway_scene: Scene, debian: Image, runtime_dir: Path
) -> None:
    stage = sway_scene.stage

    def paper() -> bytes:
        return stage.screenshot()[PAPER].tobytes()

    with writer(sway_scene, debian, runtime_dir) as app:
        type_and_save(sway_scene, runtime_dir, "Menus")
        closed = paper()
        seen: set[bytes] = set()
        for name, key in MENU_KEYS.items():
            press(stage.seat, KEY_LEFT_ALT, key)
            wait_until(lambda: paper() != closed, seconds=APPLICATION_SECONDS, what=f"the menu {name}")
            seen.add(paper())
            keep(stage, f"office-{name}")
            stage.seat.tap(KEY_ESCAPE)
            wait_until(lambda: paper() == closed, seconds=APPLICATION_SECONDS, what=f"{name} closed")
        press(stage.seat, KEY_LEFT_CONTROL, KEY_Q)
        assert app.wait() == 0, app.log
    assert len(seen) == len(MENU_KEYS)
