"""Firefox and Chromium with a page of ours, which tells in its title what it has heard and seen."""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from crossdomain.vm import root
from crossdomain.vm.image import Image
from tests.applications.conftest import Scene
from tests.fakes.applications import RunningApplication
from tests.fakes.client import FakeClient
from tests.fakes.painting import solid_buffer
from tests.fakes.stage import APPLICATION_SECONDS, Stage, await_no_window, await_window
from tests.fakes.sway import Sway
from tests.fakes.weston import Pixels, wait_until
from tests.fakes.windows import Window

FIREFOX_PREFERENCES: Final = """\
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("browser.warnOnQuitShortcut", false);
user_pref("browser.sessionstore.resume_from_crash", false);
user_pref("app.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("media.autoplay.default", 0);
user_pref("widget.gtk.overlay-scrollbars.enabled", false);
user_pref("ui.prefersReducedMotion", 1);
user_pref("widget.gtk.clipboard_timeout_ms", 60000);
"""
"""`user.js` of a profile: no question and no tab but the page's, no tries to reach the network.

And no wheel turns while a page is loaded: an emulated machine draws the window for it all the time, and gets
nothing else done.  It may also take longer to paste than the half second that Firefox waits.
"""


_CHROME_ROWS: Final = 100
_QUIET: Final = 15
"""Equal screenshots in a row that make a page quiet."""


Area: TypeAlias = tuple[slice, slice]
"""A part of a picture: rows, columns."""

WHOLE: Final = (slice(None), slice(None))


class Browser(NamedTuple):
    """How to start one: its command for a profile and a page's address."""

    name: str
    command: Callable[[Path, str], list[str]]


def _firefox(profile: Path, address: str) -> list[str]:
    return ["firefox-esr", "--no-remote", "--profile", str(profile), address]


def _chromium(profile: Path, address: str) -> list[str]:
    # Its parts end themselves when they have waited for each other for 15 s, as they may in an emulated
    # machine; then a page stays empty for good, on whatever compositor.
    return [
        "chromium", "--ozone-platform=wayland", "--no-sandbox", "--test-type", "--no-first-run",
        "--disable-component-update", "--disable-background-networking", "--disable-sync", "--disable-gpu",
        "--disable-smooth-scrolling", "--disable-extensions", "--disable-default-apps",
        "--disable-component-extensions-with-background-pages", f"--user-data-dir={profile}",
        "--password-store=basic", "--ipc-connection-timeout=600", address,
    ]  # fmt: skip


FIREFOX: Final = Browser("firefox", _firefox)
CHROMIUM: Final = Browser("chromium", _chromium)


class Page:
    """The page in a running browser.

    Args:
        stage: where it is shown.
        assert_alive: fails where the browser has ended.
        seconds: how long the browser may take for what it is asked to do.
        every: seconds between two looks at it: each is a screenshot, and takes time from an emulated browser.
    """

    def __init__(
        self,
        stage: Stage,
        assert_alive: Callable[[], None],
        *,
        seconds: float = APPLICATION_SECONDS,
        every: float = 0.01,
    ) -> None:
        self.stage = stage
        self._assert_alive = assert_alive
        self._seconds = seconds
        self._every = every

    def told(self, name: str) -> str:
        """What the page tells of `name` now; empty where it tells nothing."""
        for label in self.stage.labels():
            found = re.search(rf"\b{name}=([^;]*);", label)
            if found is not None:
                return found[1]
        return ""

    def await_text(self, text: str) -> None:
        """Return when the page's field holds `text`."""
        self.wait(lambda: self.told("text") == text, what=f"{text!r} in the field")

    def await_count(self, name: str, count: int) -> None:
        """Return when the page has counted that much of `name`."""
        self.wait(lambda: int(self.told(name)) >= count, what=f"{count} of {name}")

    def wait(self, condition: Callable[[], bool], *, what: str) -> None:
        """Return as soon as `condition` holds."""

        def holds() -> bool:
            self._assert_alive()
            return condition()

        wait_until(holds, seconds=self._seconds, what=what, every=self._every)

    def picture(self) -> Pixels:
        """What the browser shows below its own rows, in which the title stands."""
        return self.stage.screenshot()[_CHROME_ROWS:]

    def await_same(self, picture: Pixels, area: Area = WHOLE, *, what: str) -> None:
        """Return when that area of the page looks as it did."""
        self.wait(lambda: bool((self.picture()[area] == picture[area]).all()), what=what)

    def await_other(self, picture: Pixels, area: Area = WHOLE, *, what: str) -> None:
        """Return when that area of the page does not look as it did."""
        self.wait(lambda: bool((self.picture()[area] != picture[area]).any()), what=what)

    def settled(self) -> Pixels:
        """The page's picture once it stays as it is."""
        shots = [self.picture()]

        def stays() -> bool:
            shots.append(self.picture())
            return len(shots) > _QUIET and all((shot == shots[-1]).all() for shot in shots[-_QUIET:])

        self.wait(stays, what="a quiet page")
        return shots[-1]


def make_site(debian: Image, folder: Path) -> str:
    """Put the page and its film into a folder; the page's address."""
    shutil.copy(Path(__file__).parent / "page.html", folder)
    film = ["-f", "lavfi", "-i", "testsrc=duration=4:size=320x180:rate=15", "-c:v", "libvpx", "-b:v", "500k"]
    subprocess.run(
        debian.command(["ffmpeg", "-loglevel", "error", *film, str(folder / "film.webm")]),
        env=root.program_environment(),
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=APPLICATION_SECONDS,
    )
    return (folder / "page.html").as_uri()


@contextlib.contextmanager
def running_browser(
    debian: Image, scene: Scene, browser: Browser
) -> Generator[tuple[Page, RunningApplication]]:
    """Run a browser that shows the page, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="xd-browser-"))
    (folder / "profile").mkdir()
    (folder / "profile" / "user.js").write_text(FIREFOX_PREFERENCES)
    argv = browser.command(folder / "profile", make_site(debian, folder))
    try:
        with scene.running(debian, folder, argv) as application:
            await_window(scene.stage, "scroll=0;")
            page = Page(scene.stage, application.assert_alive)
            page.settled()
            yield page, application
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def other_window(sway: Sway) -> Generator[int]:
    """A small window of the host's beside the browser; its identity in sway."""
    with FakeClient(str(sway.socket_path)) as client:
        window = Window(client, title="another program")
        buffer = solid_buffer(client, 100, 100, "ffffff")
        window.show(buffer)
        sway.swaymsg('[title="another program"] floating enable')
        (identity,) = [node["id"] for node in sway.windows() if node["name"] == "another program"]
        yield int(identity)
        buffer.pool.close()
    await_no_window(sway, "another program")
