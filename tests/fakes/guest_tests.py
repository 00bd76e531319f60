"""These tests as a guest finds them: a copy with modules compiled for its Python.

An emulated processor takes longer to compile what a client of the tests imports than that client runs.
"""

import fcntl
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from crossdomain.vm import image, root
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Share
from tests.fakes.programs import REPOSITORY

TESTS: Final = "/mnt/share"
"""Where the guest's Python finds this package."""
_COPIES: Final = REPOSITORY / "build" / "guest-tests"
_COMPILED: Final = ("fakes", "bench")
"""What guests run."""
_KEPT: Final = 4
"""Copies: of the last changes, which somebody else may be testing."""


def share_of_tests(guest: Image) -> Share:
    """What a machine of that image is given; made anew where a file has changed."""
    files = {path.relative_to(REPOSITORY): path.read_bytes() for path in _sources()}
    digest = hashlib.sha256(guest.directory.name.encode())
    for name, data in files.items():
        digest.update(b"%s\0%d\0%s" % (str(name).encode(), len(data), data))
    final = _COPIES / digest.hexdigest()[:16]
    _COPIES.mkdir(parents=True, exist_ok=True)
    with (_COPIES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            _make(guest, final, files)
    return Share(final / "tests", f"{TESTS}/tests", read_only=True)


def _sources() -> list[Path]:
    return sorted((REPOSITORY / "tests").rglob("*.py"))


def _make(guest: Image, final: Path, files: dict[Path, bytes]) -> None:
    work = Path(tempfile.mkdtemp(prefix="new-", dir=_COPIES))
    work.chmod(0o755)
    for name, data in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)
    # Unchecked: a copy does not change.
    command = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    folders = [str(work / "tests" / name) for name in _COMPILED]
    argv = guest.command([*command, "-s", str(work), *folders])
    subprocess.run(argv, env=root.program_environment(), check=True)
    work.rename(final)
    for old in sorted(_COPIES.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        image.remove_tree(old)
