"""The wheel: one for every Python from 3.11 on, and whole."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from crossdomain.vm import root
from crossdomain.vm.image import Image
from tests.fakes.programs import REPOSITORY

CHECK = """
import pathlib, sys
import crossdomain, crossdomain.native, crossdomain.wire, launcher.run
assert pathlib.Path(crossdomain.__file__).is_relative_to(sys.argv[1]), crossdomain.__file__
crossdomain.wire.Walker(crossdomain.wire.load(), (), strict=True)
print(*sys.version_info[:2])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in [path.relative_to(REPOSITORY) for path in sources(REPOSITORY)]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((REPOSITORY / name).read_bytes())
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(source),
    ]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (built,) = folder.glob("*.whl")
    return built


def sources(folder: Path) -> list[Path]:
    """What a wheel is built from: no built file among it."""
    tops = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"]
    found = [folder / name for name in tops if (folder / name).exists()]
    for package in ("crossdomain", "launcher", "protocols"):
        for path in (folder / package).rglob("*"):
            built = path.suffix in {".so", ".o", ".pyc"} or path.name == "_core.c"
            if path.is_file() and not built:
                found.append(path)
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return folder


def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path) -> None:
    assert "-cp311-abi3-linux_" in wheel.name


def test_the_wheel_holds_what_the_programs_read_at_run_time(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"crossdomain/vm/init.sh", "crossdomain/vm/seat.c", "crossdomain/wire/_tables.py"} <= names
    assert "launcher/crossdomain-run" in names  # `crossdomain vm` takes it into the guest
    assert any(name.startswith("crossdomain/native/_core.abi3") for name in names)
    assert any(name.endswith("/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "protocols/")) for name in names)


def test_the_installed_commands_run(site: Path, tmp_path: Path) -> None:
    for name, program in (
        ("crossdomain", "crossdomain"),
        ("crossdomain-run", "crossdomain-run"),
        ("crossdomain-launcher", "crossdomain-run"),
    ):
        done = subprocess.run(
            [site / "bin" / name, "--help"],
            env={"PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f"usage: {program}" in done.stdout


def test_the_core_loads_in_this_python(site: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(site)],
        env={"PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_same_core_loads_in_the_guests_newer_python(site: Path, vm_image: Image) -> None:
    done = subprocess.run(
        vm_image.command(["python3", "-c", CHECK, str(site)]),
        env={**root.program_environment(), "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 13\n"
