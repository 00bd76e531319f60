"""What the demo says at its end."""

from pathlib import Path
from typing import Any

from crossdomain.vm.demo import summarise

REPORT: dict[str, Any] = {
    "phases": {"setup": 1.0, "image": 0.0, "boot": 9.96, "launcher_start": 0.51},
    "apps": [
        {"name": "foot", "first_frame_s": 1.234, "bytes_copied": 2_800_000, "buffer_path": "shm-copy"},
        {"name": "late", "first_frame_s": None, "bytes_copied": 0, "buffer_path": None},
    ],
    "versions": {"qemu": "11.1.3", "kernel": "7.2.12", "weston": "14.0.2", "accelerator": "tcg"},
}


def test_the_summary_names_times_applications_versions_and_files() -> None:
    lines = summarise(REPORT, Path("demo/screenshot.png"), Path("demo/report.json")).splitlines()
    assert "boot 10.0 s" in lines[0]
    assert "QEMU 11.1.3 with tcg, Linux 7.2.12, Weston 14.0.2" in lines[0]
    assert lines[1].split() == ["foot", "first", "frame", "1.23", "s", "2.8", "MB", "copied", "(shm-copy)"]
    assert lines[2].split()[:4] == ["late", "first", "frame", "-"]
    assert lines[-2:] == ["picture: demo/screenshot.png", "report: demo/report.json"]


def test_on_a_desktop_there_is_no_picture() -> None:
    assert "picture" not in summarise(REPORT, None, Path("report.json"))
