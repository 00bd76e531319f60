"""What a worker can't do any more, tried from inside one, layer by layer."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crossdomain.abi import dma_buf
from crossdomain.host import landlock, sandbox
from crossdomain.limits import MAX_BLOB_SIZE

NOT_PERMITTED = errno.EPERM
SECCOMP = sandbox.prepare()


def inside(act: Callable[[], object], confine: Callable[[], object]) -> object:
    """What `act` returns in a forked process that is confined, or the errno of its OSError."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            confine()
            try:
                result = act()
            except OSError as error:
                result = error.errno
            os.write(writing, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer, "the process ended without an answer"
    return json.loads(answer)


def confined(act: Callable[[], object]) -> object:
    """`inside` with everything given up."""
    return inside(act, lambda: sandbox.enter(SECCOMP))


def call(number: int, *arguments: int) -> None:
    """A system call by its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")


def test_this_machine_has_every_layer() -> None:
    assert confined(lambda: None) is None
    assert inside(lambda: None, lambda: None) is None
    assert landlock.version() > 0
    assert SECCOMP is not None


@pytest.mark.parametrize(
    "act",
    [
        lambda: socket.socket(socket.AF_UNIX).fileno(),
        lambda: socket.socket(socket.AF_INET).fileno(),
        lambda: [end.fileno() for end in socket.socketpair()],
        os.fork,
        lambda: os.execv("/bin/true", ["true"]),
        lambda: subprocess.run(["/bin/true"], check=False).returncode,
        lambda: os.kill(os.getppid(), 0),
        lambda: signal.pidfd_send_signal(0, 0),
        lambda: os.setuid(0),
        lambda: os.unlink("/nowhere"),
        lambda: os.mkdir("/tmp/nowhere"),
        lambda: os.mkfifo("/tmp/nowhere"),
        lambda: os.link("/proc/self/fd/0", "/tmp/nowhere"),
        lambda: os.chdir("/"),
        lambda: os.chroot("/"),
        lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
        lambda: call(160, 4, 0),  # setrlimit
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close(),
        lambda: call(101, 16, os.getppid(), 0, 0),  # ptrace
        lambda: call(310, os.getppid(), 0, 0, 0, 0, 0),  # process_vm_readv
        lambda: call(425, 8, 0),  # io_uring_setup
        lambda: call(321, 0, 0, 0),  # bpf
        lambda: call(54, 0, socket.SOL_SOCKET, 26, 0, 0),  # setsockopt, SO_ATTACH_FILTER
        lambda: call(272, 0x10000000),  # unshare
        lambda: call(157, 4, 1, 0, 0, 0),  # prctl
        lambda: call(438, 0, 0, 0),  # pidfd_getfd
        lambda: call(165, 0, 0, 0, 0, 0),  # mount
        lambda: call(323, 0),  # userfaultfd
        lambda: call(250, 0, 0, 0, 0, 0),  # keyctl
        lambda: fcntl.ioctl(2, termios.TIOCSTI, b"x"),
        lambda: call(16, 2, 0xDEAD0000_00000000 | termios.TIOCSTI, 0),  # ioctl, which looks at 32 bits
        lambda: fcntl.ioctl(2, termios.TIOCGWINSZ, bytes(8)),
        # The launcher's alone: what waits for a device, or makes fences (SYNC_IOC_MERGE).
        lambda: fcntl.ioctl(2, dma_buf.DMA_BUF_IOCTL_SYNC, bytes(8)),
        lambda: fcntl.ioctl(2, dma_buf.DMA_BUF_IOCTL_EXPORT_SYNC_FILE, bytes(8)),
        lambda: fcntl.ioctl(2, 0xC0303E03, bytes(48)),
        lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
        lambda: fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL),
        lambda: fcntl.fcntl(0, fcntl.F_SETLEASE, fcntl.F_RDLCK),
        os.setsid,
    ],
)
def test_a_forbidden_call_is_not_permitted(act: Callable[[], object]) -> None:
    assert confined(act) == NOT_PERMITTED


def test_a_worker_has_no_terminal_any_more() -> None:
    assert inside(lambda: os.getsid(0) == os.getpid(), sandbox.tie_to_parent) is True


def test_no_thread_can_be_started() -> None:
    def start() -> str:
        try:
            threading.Thread(target=print).start()
        except RuntimeError as error:
            return str(error)
        return "started"

    assert confined(start) == "can't start new thread"


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "/proc/self/status", "/proc/self/mem", "/", __file__),
        *("/dev/null", "/dev/zero", "/dev/fuse", "/dev"),
    ],
)
def test_no_file_can_be_opened(path: str) -> None:
    assert confined(lambda: os.close(os.open(path, os.O_RDONLY))) == errno.EACCES


def test_no_file_can_be_made(tmp_path: Path) -> None:
    assert confined(lambda: os.close(os.open(tmp_path / "new", os.O_CREAT | os.O_WRONLY))) == errno.EACCES
    assert not list(tmp_path.iterdir())


def test_pipes_and_memory_that_came_as_fds_can_be_opened_anew() -> None:
    reading, writing = os.pipe()
    fd = os.memfd_create("kept")
    for number in (writing, fd):
        path = f"/proc/self/fd/{number}"
        assert confined(lambda path=path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))) is None  # type: ignore[misc]
    for number in (reading, writing, fd):
        os.close(number)


def test_what_serving_takes_is_there() -> None:
    def serve() -> list[int]:
        fd = os.memfd_create("buffer", os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, 8192)
        memory = mmap.mmap(fd, 8192)
        memory[0] = 7
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        event = os.eventfd(0)
        os.eventfd_write(event, 3)
        return [memory[0], os.eventfd_read(event), len(os.urandom(4))]

    assert confined(serve) == [7, 3, 4]


def test_memory_files_and_the_own_memory_have_a_limit() -> None:
    def grow() -> int:
        os.ftruncate(os.memfd_create("large"), MAX_BLOB_SIZE + 4096)
        return 0

    assert confined(grow) == errno.EFBIG
    assert (
        confined(lambda: mmap.mmap(-1, 2 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close())
        == errno.ENOMEM
    )


def test_no_privilege_is_left_or_to_be_had() -> None:
    def privileges() -> list[str]:
        with open(9, closefd=False) as status:
            wanted = ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp:")
            return [line.split()[1] for line in status if line.startswith(wanted)]

    def open_then_enter() -> None:
        # Read while it is confined, through a file that was open before.
        os.dup2(os.open("/proc/self/status", os.O_RDONLY), 9)
        sandbox.enter(SECCOMP)

    assert inside(privileges, open_then_enter) == ["0" * 16] * 4 + ["1", "2"]


def test_without_landlock_nothing_is_opened_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "restrict", lambda: False)
    assert confined(lambda: os.close(os.open("/dev/null", os.O_RDONLY))) == NOT_PERMITTED


def test_a_layer_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", int)
    told: list[list[str]] = []
    assert inside(lambda: told, lambda: told.append(sandbox.enter(None))) == [["Landlock", "seccomp"]]
