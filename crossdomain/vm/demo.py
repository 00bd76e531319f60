"""Shows three applications of one guest at once, photographs them, and reports how long it took.

With a desktop the windows appear there and the machine runs until they are closed.  Without one a
headless compositor takes them; it is photographed once their pixels are there.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from crossdomain.errors import HostFault
from crossdomain.vm import image as images
from crossdomain.vm.guest import GuestProcess
from crossdomain.vm.headless import HeadlessWeston
from crossdomain.vm.kvm import Accelerator
from crossdomain.vm.machine import Machine
from crossdomain.vm.progress import Progress
from crossdomain.vm.session import Session, SessionConfig, started

_SHOW_SECONDS: Final = 150.0
"""Time for all applications to draw; emulated, GTK takes the longest, some 20 seconds."""

_POLL_SECONDS: Final = 0.5
_SIZE: Final = (1660, 740)
_MARGIN: Final = 40

_SHELL: Final = (
    'echo "Hello from $(. /etc/os-release; echo "$PRETTY_NAME")"; uname -srm; '
    "echo; ls -l /dev/dri; echo; head -n 3 /proc/meminfo; echo; exec bash"
)


class App(NamedTuple):
    """An application of the demo."""

    name: str
    argv: tuple[str, ...]
    title: str
    """Part of its window's label."""
    colours: int
    """How many its drawing has at least."""
    animated: bool = False
    """Draws all the time: started when the others have drawn, or an emulated guest is busy with it alone."""


APPS: Final = (
    App(
        "foot",
        ("foot", "--window-size-pixels=700x400", "--font=DejaVu Sans Mono:size=11", "sh", "-c", _SHELL),
        "foot",
        8,
    ),
    App("weston-simple-damage", ("weston-simple-damage",), "simple-damage", 3, animated=True),
    App("gtk4-demo", ("gtk4-demo",), "gtk4", 16),
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line decided."""

    output: Path
    recipe: images.Recipe
    image_directory: Path | None
    mirror: str | None
    memory: int
    cpus: int
    accelerator: Accelerator
    setup_seconds: float


class Running(NamedTuple):
    """An application that was started, and where its launcher writes its counters."""

    app: App
    process: GuestProcess
    counters: str


async def show(options: DemoOptions) -> int:
    """Run the demo; returns the command's exit status.

    Raises:
        EnvironmentFault: something that it takes is missing.
        HostFault: an application ended or did not draw.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    image = await asyncio.to_thread(
        images.obtain, options.recipe, options.image_directory, mirror=options.mirror
    )
    seconds = {"setup": options.setup_seconds, "image": time.monotonic() - began}
    config = SessionConfig(
        image, memory=options.memory, cpus=options.cpus, accelerator=options.accelerator, headless_size=_SIZE
    )
    path = options.output / "report.json"
    async with started(config) as session:
        seconds["boot"] = session.boot_seconds
        apps = await _start_all(session)
        picture = await _picture(session, options.output / "screenshot.png")
        if picture is None:
            path.write_text(json.dumps(await _describe(session, apps, seconds), indent=2) + "\n")
            print("close the windows to end the demo", file=sys.stderr, flush=True)
        else:
            for running in apps:
                running.process.send_signal(signal.SIGTERM)
        # Counters are complete once a launcher has ended.
        await asyncio.gather(*(running.process.wait() for running in apps))
        report = await _describe(session, apps, seconds)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(summarise(report, picture, path))
    return 0


async def _start_all(session: Session) -> list[Running]:
    apps: list[Running] = []
    with Progress(sys.stderr, "applications") as progress:
        for animated in (False, True):
            apps += [await _start(session.machine, app) for app in APPS if app.animated is animated]
            await _await_pixels(session, apps, progress)
    return apps


async def _start(machine: Machine, app: App) -> Running:
    counters = f"/tmp/{app.name}.json"
    process = await machine.spawn(["crossdomain-run", "--stats", counters, "--", *app.argv])
    process.close_input()
    return Running(app, process, counters)


async def _await_pixels(session: Session, apps: list[Running], progress: Progress) -> None:
    """Wait until every application has drawn its window."""
    deadline = time.monotonic() + _SHOW_SECONDS
    while True:
        drawn = [running for running in apps if await _has_drawn(session, running)]
        progress.update(len(drawn) / len(APPS), ", ".join(running.app.name for running in drawn))
        if len(drawn) == len(apps):
            break
        for running in apps:
            if running.process.status is not None:
                said = (await running.process.stderr.read(1 << 16)).decode(errors="replace").strip()
                raise HostFault(f"{running.app.name} ended with {running.process.status}: {said[-300:]}")
        if time.monotonic() > deadline:
            waiting = ", ".join(running.app.name for running in apps if running not in drawn)
            raise HostFault(f"no picture of {waiting} after {_SHOW_SECONDS:.0f} seconds")
        await asyncio.sleep(_POLL_SECONDS)


async def _picture(session: Session, path: Path) -> Path | None:
    """Photograph our own compositor with its windows side by side; None where windows are on the desktop."""
    if session.headless is None:
        return None
    arrange(session.headless, APPS)
    await asyncio.sleep(_POLL_SECONDS)  # for the compositor to paint them there
    await asyncio.to_thread(session.headless.screenshot, path)
    return path


async def _has_drawn(session: Session, running: Running) -> bool:
    if session.headless is None:
        return (await _counters(session.machine, running)).get("first_frame_s") is not None
    view = session.headless.seat.find_view(running.app.title)
    if view is None:
        return False
    return session.headless.seat.count_colours(view) >= running.app.colours


async def _counters(machine: Machine, running: Running) -> dict[str, Any]:
    done = await machine.run(["cat", running.counters])
    counters: dict[str, Any] = json.loads(done.output) if done.status == 0 else {}
    return counters


async def _describe(session: Session, apps: list[Running], seconds: dict[str, float]) -> dict[str, Any]:
    """Return the report: `seconds` of the phases so far, the applications' counters, versions."""
    counted = [(running.app, await _counters(session.machine, running)) for running in apps]
    starts = [counters.get("start_s", 0.0) for _, counters in counted]
    phases = {**seconds, "launcher_start": max(starts)}
    image = session.config.image
    return {
        "phases": {name: round(value, 2) for name, value in phases.items()},
        "apps": [describe_app(app, counters) for app, counters in counted],
        "versions": {
            "qemu": image.output_of(["qemu-system-x86_64", "--version"]).split()[3],
            "kernel": (await session.machine.run(["uname", "-r"])).output.decode().strip(),
            "weston": image.output_of(["weston", "--version"]).split()[-1],
            "accelerator": "kvm" if session.kvm else "tcg",
        },
    }


def describe_app(app: App, counters: dict[str, Any]) -> dict[str, Any]:
    """Return an application's part of the report, out of what its launcher has counted (`--stats`)."""
    return {
        "name": app.name,
        "command": list(app.argv),
        "first_frame_s": counters.get("first_frame_s"),
        "launcher_start_s": counters.get("start_s"),
        "buffer_path": ", ".join(counters.get("buffers", {})) or None,
        "bytes_damaged": counters.get("bytes_damaged", 0),
        "bytes_copied": counters.get("bytes_copied", 0) + counters.get("bytes_copied_host", 0),
        "bytes_copied_guest": counters.get("bytes_copied", 0),
        "bytes_copied_by_path": counters.get("bytes_copied_by_path", {}),
        "buffers": counters.get("buffers", {}),
        "frames": counters.get("frames", 0),
    }


def arrange(weston: HeadlessWeston, apps: Sequence[App]) -> None:
    """Put the applications' windows side by side, in columns, so that none hides another."""
    weston.seat.move_pointer(weston.width - 1, weston.height - 1)
    x = y = _MARGIN
    column = 0
    for app in apps:
        view = weston.seat.find_view(app.title)
        if view is None:
            continue
        if y + view.height + _MARGIN > weston.height and y > _MARGIN:
            x, y, column = x + column + _MARGIN, _MARGIN, 0
        weston.seat.move_view(view, x, y)
        y += view.height + _MARGIN
        column = max(column, view.width)


def summarise(report: dict[str, Any], picture: Path | None, path: Path) -> str:
    """Return the few lines that the demo ends with."""
    versions = report["versions"]
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["phases"].items())
    lines = [
        f"{phases}  (QEMU {versions['qemu']} with {versions['accelerator']}, "
        f"Linux {versions['kernel']}, Weston {versions['weston']})"
    ]
    for app in report["apps"]:
        first = "-" if app["first_frame_s"] is None else f"{app['first_frame_s']:.2f} s"
        copied = app["bytes_copied"] / 1e6
        lines.append(
            f"  {app['name']:22} first frame {first:>8}   {copied:8.1f} MB copied ({app['buffer_path']})"
        )
    if picture is not None:
        lines.append(f"picture: {picture}")
    lines.append(f"report: {path}")
    return "\n".join(lines)
