"""Puts together the initramfs that the guest starts with.

It holds a static busybox, the few modules that mounting the root takes, this project's packages with
modules compiled for the guest's Python, and a script that mounts the image with a tmpfs over it and
hands over to the agent.  Our packages travel in it, so a change of the code needs no new image, and
the guest reads them from memory.
"""

import hashlib
import lzma
import os
import shlex
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import root
from crossdomain.vm.cpio import Archive
from crossdomain.vm.image import Image, remove_tree

_MODULES: Final = ("crc32c_generic", "erofs", "virtio_blk", "overlay")
"""The first is of older kernels, whose erofs asks for it by name: no dependency leads to it."""
_SHARE_MODULES: Final = ("9p", "9pnet_virtio")

SITE: Final = "/opt/crossdomain"
"""Where the guest has our packages, read-only."""

_LAUNCHER: Final = f"""#!/usr/bin/python3 -IS
import sys
sys.path[:0] = ["{SITE}"]
sys.path.append("/usr/lib/python3/dist-packages")
from launcher.start import main
sys.exit(main())
"""

_AGENT: Final = f"""import sys
sys.path[:0] = ["{SITE}"]
from crossdomain.vm.agent import main
main()
"""


def build(image: Image, settings: dict[str, str], *, share_modules: bool) -> bytes:
    """Return an initramfs for `image`.

    Args:
        image: what the guest boots from.
        settings: shell variables for the set-up script, see `init.sh`.
        share_modules: whether modules for shared folders are needed.
    """
    archive = Archive()
    for directory in ("dev", "proc", "sys", "lower", "upper", "new"):
        archive.add_directory(directory)
    archive.add_character_device("dev/console", 5, 1)
    archive.add_file("bin/busybox", (image.root / "usr/bin/busybox").read_bytes(), 0o755)
    names = _MODULES + (_SHARE_MODULES if share_modules else ())
    modules = resolve_modules(image.modules, names)
    for path in modules:
        archive.add_file(f"modules/{_module_name(path)}.ko", _read_module(path))
    settings = {**settings, "modules": " ".join(_module_name(path) for path in modules)}
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
    archive.add_file("settings", "".join(lines).encode())
    archive.add_file("init", (Path(__file__).parent / "init.sh").read_bytes(), 0o755)
    _add_site(archive, _compiled_site(image))
    return archive.finish()


def resolve_modules(directory: Path, names: tuple[str, ...]) -> list[Path]:
    """Return the files of the modules and all that they need, in the order of loading.

    Args:
        directory: /lib/modules/RELEASE of the image.
        names: modules that are wanted; those built into the kernel are left out.
    """
    needs: dict[str, list[str]] = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {_module_name(Path(path)): path for path in needs}
    ordered: list[str] = []
    for name in names:
        wanted = by_name.get(name)
        # modules.dep lists what a module needs with the deepest last.
        for entry in [*reversed(needs[wanted]), wanted] if wanted is not None else ():
            if entry not in ordered:
                ordered.append(entry)
    return [directory / entry for entry in ordered]


def _module_name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _read_module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _package_directory(name: str) -> Path:
    # Found, not imported: the launcher is the guest's.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EnvironmentFault(f"the package {name!r} is missing", hint="install crossdomain again")
    return Path(spec.origin).parent


def _source_files() -> list[tuple[Path, str]]:
    """Return every file of our packages that a guest can use, with its path below the site directory."""
    files: list[tuple[Path, str]] = []
    for directory in map(_package_directory, ("crossdomain", "launcher")):
        for path in sorted(directory.rglob("*")):
            if path.suffix in {".py", ".so"} and "__pycache__" not in path.parts:
                files.append((path, f"{directory.name}/{path.relative_to(directory)}"))
    return files


def _compiled_site(image: Image) -> Path:
    """Return a copy of our packages with compiled modules for the guest's Python, made once per change."""
    files = [(name, path.read_bytes()) for path, name in _source_files()]
    digest = hashlib.sha256(image.directory.name.encode())
    for name, data in files:
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(data), data))
    place = (
        image.directory.parent if os.access(image.directory.parent, os.W_OK) else Path(tempfile.gettempdir())
    )
    final = place / f"site-{os.geteuid()}" / digest.hexdigest()[:16]
    if final.is_dir():
        os.utime(final)
        return final
    final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="new-", dir=final.parent))
    try:
        for name, data in files:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(data)
        _compile(image, work)
        _publish(work, final)
    finally:
        remove_tree(work)
    return final


def _compile(image: Image, site: Path) -> None:
    # Unchecked: the guest's copy has other times, and its contents cannot change.
    argv = [
        "python3",
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(site),
        str(site),
    ]
    done = subprocess.run(
        image.command(argv), env=root.program_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EnvironmentFault(
            f"the image's Python cannot compile our packages: {(done.stdout + done.stderr).strip()[-200:]}",
            hint="run `crossdomain vm image --rebuild`",
        )


_KEPT_SITES: Final = 4


def _publish(work: Path, final: Path) -> None:
    try:
        os.rename(work, final)
    except OSError:
        if not final.is_dir():  # else another process made the same
            raise
    others = sorted(final.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[_KEPT_SITES:]:
        shutil.rmtree(old, ignore_errors=True)


def _add_site(archive: Archive, site: Path) -> None:
    for path in sorted(site.rglob("*")):
        if path.is_file():
            archive.add_file(f"site/{path.relative_to(site)}", path.read_bytes())
    script = _package_directory("launcher") / "crossdomain-run"
    archive.add_file("site/bin/crossdomain-run", script.read_bytes(), 0o755)
    archive.add_file("site/bin/crossdomain-launcher", _LAUNCHER.encode(), 0o755)
    archive.add_file("site/bin/agent", _AGENT.encode(), 0o644)
