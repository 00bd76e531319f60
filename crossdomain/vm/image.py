"""Makes and keeps the Debian root that the micro VM boots from and that QEMU and Weston come out of.

One directory per recipe: `root/` (unpacked, for programs on the host, see `root`), `root.erofs` (the
same as a read-only disk, for the guest), `vmlinux` (the guest's kernel) and `view/` (an empty directory
that mounts are put on).
An image is made beside its final name and renamed when it is whole, so a half-made one is never
used.  A recipe that changes gets a directory of its own, because the name is the recipe's hash.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import bootstrap, kernel, root
from crossdomain.vm.progress import Progress

PACKAGES: Final = (
    "qemu-system-x86", "linux-image-amd64", "busybox-static", "kmod", "erofs-utils", "zstd",
    "weston", "libweston-14-dev", "foot", "gtk-4-examples", "wayland-utils", "wl-clipboard",
    "python3", "python3-cffi-backend", "python3-pywayland",
    "xwayland", "xterm", "xclip", "x11-apps", "x11-utils", "xfonts-base", "python3-xlib", "python3-pil",
    "dbus-daemon", "fonts-dejavu-core", "xkb-data", "procps",
)  # fmt: skip
"""What every image holds: the VMM, the guest's kernel, a compositor, and applications to try."""

SYSTEM_DIRECTORY: Final = Path("/var/cache/crossdomain")
"""Where an administrator puts images for all users of the machine."""

_FREE_BYTES: Final = 3 << 30
"""Space that making an image takes at its height: 1 GB root, 1 GB disk, 0.4 GB packages, and some to grow."""

_RECIPE_VERSION: Final = 2
"""Raise it when the way an image is made changes."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into an image."""

    extra_packages: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages that are asked for by name, each once, in a stable order."""
        return tuple(sorted({*PACKAGES, *self.extra_packages}))

    @property
    def key(self) -> str:
        """A short hash of everything that decides the image's contents."""
        told = [_RECIPE_VERSION, bootstrap.SUITE, bootstrap.BACKPORTED, bootstrap.EXCLUDED, self.packages]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Image:
    """A whole image in `directory`."""

    directory: Path

    @property
    def root(self) -> Path:
        """The unpacked root, for programs on the host.  Nothing may write to it."""
        return self.directory / "root"

    @property
    def disk(self) -> Path:
        """The same root as an EROFS file system, for the guest."""
        return self.directory / "root.erofs"

    @property
    def view(self) -> Path:
        """An empty directory to put a mount namespace together on."""
        return self.directory / "view"

    @property
    def kernel(self) -> Path:
        """The kernel that the guest boots, uncompressed."""
        return self.directory / "vmlinux"

    @property
    def kernel_release(self) -> str:
        """The guest's `uname -r`."""
        return sorted(path.name for path in (self.root / "lib/modules").iterdir())[-1]

    @property
    def modules(self) -> Path:
        """The directory of that kernel's modules."""
        return self.root / "lib/modules" / self.kernel_release

    def command(self, argv: list[str]) -> list[str]:
        """Return the command that runs a program of this image on the host."""
        return root.enter_command(self.root, self.view, argv)

    def output_of(self, argv: list[str]) -> str:
        """Run a short program of this image on the host and return what it prints.

        Raises:
            EnvironmentFault: it fails.
        """
        done = subprocess.run(
            self.command(argv),
            env=root.program_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise EnvironmentFault(
                f"{argv[0]} of the image does not run here: {reason}",
                hint="mount namespaces are needed: run as root, or allow unprivileged user namespaces",
            )
        return done.stdout


def default_directory() -> Path:
    """Return where this user's images are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "crossdomain"


def find(recipe: Recipe, directory: Path | None = None) -> Image | None:
    """Return the image of `recipe` if it has been made, in `directory` or else in the usual places."""
    places = [default_directory(), SYSTEM_DIRECTORY] if directory is None else [directory]
    for place in places:
        image = Image(place / f"image-{recipe.key}")
        if image.disk.exists():
            return image
    return None


def obtain(
    recipe: Recipe, directory: Path | None = None, *, mirror: str | None = None, stream: TextIO = sys.stderr
) -> Image:
    """Return the image of `recipe`, making it first where there is none; takes minutes then.

    Args:
        recipe: what goes into it.
        directory: where images are kept; the user's cache where None.
        mirror: the Debian mirror to take packages from; the one of the host's apt where None.
        stream: where to show the progress.

    Raises:
        EnvironmentFault: something is missing: a tool, a mirror, the network, space, or rights.
    """
    found = find(recipe, directory)
    if found is not None:
        return found
    place = directory or default_directory()
    with _locked(place, recipe.key, stream):
        return find(recipe, place) or _make(recipe, place, mirror, stream)


def rebuild(
    recipe: Recipe, directory: Path | None = None, *, mirror: str | None = None, stream: TextIO = sys.stderr
) -> Image:
    """Make the image of `recipe` with today's packages, in place of the one that is there.

    Machines that still run from the old one keep its disk.  Arguments and errors are `obtain`'s.
    """
    place = directory or default_directory()
    with _locked(place, recipe.key, stream):
        return _make(recipe, place, mirror, stream)


def remove_all(directory: Path | None = None) -> None:
    """Remove all images in `directory`, or in the user's cache, and everything that was made from them."""
    place = directory or default_directory()
    for pattern in ("image-*", "site-*", "seat-*.so", "kvm-*.json"):
        for path in place.glob(pattern):
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)


def _make(recipe: Recipe, place: Path, mirror: str | None, stream: TextIO) -> Image:
    _check_space(place)
    order = bootstrap.plan(recipe.packages, mirror)
    final = place / f"image-{recipe.key}"
    partial = place / f"image-{recipe.key}.partial"
    log = place / f"image-{recipe.key}.log"
    remove_tree(partial)
    try:
        (partial / "view").mkdir(parents=True)
        with Progress(stream, "Debian root") as progress:
            bootstrap.run(order, partial / "root", log, progress)
            progress.update(0.97, "packing the disk")
            _pack(Image(partial), log)
        remove_tree(final)
        os.rename(partial, final)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make the image in {place}: {error.strerror}",
            hint="choose another place with --image-dir",
        ) from error
    finally:
        remove_tree(partial)
    return Image(final)


def _pack(image: Image, log: Path) -> None:
    packed = image.root / "boot" / f"vmlinuz-{image.kernel_release}"
    image.kernel.write_bytes(kernel.unpack(packed.read_bytes(), image.command(["zstd"])))
    # Modification times stay: Python's compiled modules are checked against them.
    argv = ["mkfs.erofs", "--quiet", f"--exclude-regex={_NOT_ON_DISK}", str(image.disk), str(image.root)]
    with log.open("ab") as output:
        done = subprocess.run(
            image.command(argv), env=root.program_environment(), stdout=output, stderr=output, check=False
        )
    if done.returncode != 0:
        raise bootstrap.explain_failure(log)


_NOT_ON_DISK: Final = r"^(usr/include|usr/share/(qemu|seabios)|usr/bin/qemu-.*|boot)/?.*"
"""What only the host needs, as a regular expression of paths."""


def _check_space(place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < _FREE_BYTES:
        raise EnvironmentFault(
            f"{place} has {free / 1e9:.1f} GB free, an image needs {_FREE_BYTES / 1e9:.1f} GB",
            hint="free some space or choose another place with --image-dir",
        )


@contextlib.contextmanager
def _locked(place: Path, key: str, stream: TextIO) -> Generator[None, None, None]:
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = os.open(place / f"image-{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write to {place}: {error.strerror}", hint="choose another place with --image-dir"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another process is making this image: waiting for it", file=stream)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def remove_tree(path: Path) -> None:
    """Remove a directory of an image; never follows a mount that a killed program left in it."""
    if path.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", "--", str(path)], check=False)
