"""Programs of every toolkit show their window, take what is typed, and end with their exit status."""

from pathlib import Path

import numpy as np
import pytest

from crossdomain.vm.image import Image
from crossdomain.vm.seat import KEY_LEFT_CONTROL
from tests.applications.conftest import Scene
from tests.fakes.applications import RunningApplication
from tests.fakes.stage import APPLICATION_SECONDS, await_no_window, await_picture, await_window, keep, press
from tests.fakes.weston import Pixels, wait_until

KEY_ESCAPE, KEY_Q, KEY_S = 1, 16, 31

SHELL = 'printf "Your line, please: "; read -r line; printf %s "$line" >typed; exit 7'
"""What the terminals run: it ends with a status of its own once a line was typed."""


def colours_in(pixels: Pixels) -> int:
    """How many different colours a picture has."""
    red, green, blue = (pixels[:, :, channel].astype(np.uint32) for channel in range(3))
    return len(np.unique(red << 16 | green << 8 | blue))


def await_drawn(scene: Scene, label: str, *, colours: int) -> None:
    """Return when the window is there and the screen has that many colours; the picture is kept."""
    await_window(scene.stage, label)
    wait_until(
        lambda: colours_in(scene.stage.screenshot()) >= colours,
        seconds=APPLICATION_SECONDS,
        what=f"{label} in {colours} colours",
    )
    keep(scene.stage, f"{label.replace('/', '-').replace(' ', '-')}-{scene.name}")


def await_file(path: Path, content: str) -> None:
    """Return when a file has that content."""
    wait_until(
        lambda: path.exists() and path.read_text() == content,
        seconds=APPLICATION_SECONDS,
        what=f"{content!r} in {path.name}",
    )


def assert_ended(app: RunningApplication, scene: Scene, label: str, *, status: int = 0) -> None:
    """Check that the application ended by itself as it should, and took its window with it."""
    assert app.wait() == status, app.log
    await_no_window(scene.stage, label)


def test_foot_passes_a_line_and_an_exit_status(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["foot", "--title=terminal of foot", f"--working-directory={runtime_dir}", "sh", "-c", SHELL]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "terminal of foot", colours=10)
        scene.stage.seat.type("Typed in foot.\n")
        assert_ended(app, scene, "terminal of foot", status=7)
    assert (runtime_dir / "typed").read_text() == "Typed in foot."


def test_kitty_draws_with_opengl_and_passes_a_line(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["kitty", "--title=terminal of kitty", f"--directory={runtime_dir}", "sh", "-c", SHELL]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "terminal of kitty", colours=10)
        scene.stage.seat.type("Typed in kitty.\n")
        assert_ended(app, scene, "terminal of kitty")
    assert (runtime_dir / "typed").read_text() == "Typed in kitty."


def test_a_gtk_3_program_shows_its_widgets(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["gtk3-widget-factory"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "gtk3-widget-factory", colours=200)
        press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_Q)
        assert_ended(app, scene, "gtk3-widget-factory")


def test_a_gtk_4_program_shows_its_widgets(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["gtk4-widget-factory"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "GTK Widget Factory", colours=200)
        press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_Q)
        assert_ended(app, scene, "GTK Widget Factory")


@pytest.mark.parametrize("program", ["yad", "zenity"])
def test_a_gtk_form_takes_what_is_typed(scene: Scene, debian: Image, runtime_dir: Path, program: str) -> None:
    """Of GTK 3 and of GTK 4."""
    argv = [program, "--entry", f"--title=a form of {program}"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, f"a form of {program}", colours=20)
        scene.stage.seat.type("Filled in (all of it)\n")
        assert_ended(app, scene, f"a form of {program}")
    assert app.output == "Filled in (all of it)\n"


def test_a_cancelled_form_ends_with_its_own_status(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["zenity", "--entry", "--title=a form"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "a form", colours=20)
        scene.stage.seat.tap(KEY_ESCAPE)
        assert_ended(app, scene, "a form", status=1)


def test_a_qt_6_editor_saves_what_is_typed(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    text = runtime_dir / "letter.txt"
    text.write_text("")
    argv = ["featherpad", "--standalone", str(text)]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "letter.txt", colours=50)
        scene.stage.seat.type("Dear reader, (Qt)")
        press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_S)
        await_file(text, "Dear reader, (Qt)\n")
        press(scene.stage.seat, KEY_LEFT_CONTROL, KEY_Q)
        await_no_window(scene.stage, "letter.txt")
        # Its end is not awaited: two threads of Qt 6.8 read events, and where one is stopped just when an
        # event comes, the other waits for it for ever (in the destructor of `QWaylandDisplay`), without a
        # proxy as well.
        app.process.kill()


def test_an_sdl_2_program_animates_until_escape(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["/usr/libexec/installed-tests/SDL2/testdraw2"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "testdraw2", colours=3)
        await_picture(scene.stage, "another frame", other_than=scene.stage.screenshot())
        scene.stage.seat.tap(KEY_ESCAPE)
        assert_ended(app, scene, "testdraw2")


def test_mpv_plays_until_it_is_told_to_quit(scene: Scene, debian: Image, runtime_dir: Path) -> None:
    argv = ["mpv", "--vo=wlshm", "--no-audio", "--loop", "--title=a film", "av://lavfi:testsrc=size=640x360"]
    with scene.running(debian, runtime_dir, argv) as app:
        await_drawn(scene, "a film", colours=8)
        await_picture(scene.stage, "another frame", other_than=scene.stage.screenshot())
        scene.stage.seat.type("q")
        assert_ended(app, scene, "a film")
