"""What a worker gives up before it hears its guest's first word: privileges, files, programs, system calls.

Each layer stands alone: no privileges to gain, no capability, no path to open (Landlock), limits on what one
process may have (rlimits), and no system call but those that serving takes (seccomp).  A forbidden call is
answered with EPERM.  A kernel without one of the layers has the others; `enter` says what is missing.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import termios
from importlib import import_module
from typing import Final, Protocol, cast

from crossdomain.abi import drm_syncobj, sync_file, udmabuf
from crossdomain.errors import EnvironmentFault
from crossdomain.host import landlock
from crossdomain.limits import MAX_BLOB_SIZE, MAX_WORKER_FDS, MAX_WORKER_MEMORY

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAPABILITIES: Final = 64
_ENVIRONMENT: Final = slice(47, 49)
"""env_start and env_end in /proc/PID/stat (proc(5)), counted from the state, which is behind the name."""
_SIGKILL: Final = 9
_THIS_ARCHITECTURE: Final = 0

SYSTEM_CALLS: Final = (
    # Bytes and fds.
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "recvmsg", "sendmsg", "recvfrom", "sendto"),
    *("close", "close_range", "dup", "dup2", "dup3", "lseek", "shutdown", "pipe2", "eventfd2"),
    *("fstat", "newfstatat", "statx", "fstatfs", "readlink", "readlinkat", "getdents64"),
    *("getsockname", "getpeername", "getsockopt"),
    # Waiting.
    *("epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "epoll_create1", "poll", "ppoll"),
    *("futex", "nanosleep", "clock_nanosleep", "restart_syscall", "sched_yield"),
    # Memory: files in memory, their mappings, and pixels in them.
    *("memfd_create", "ftruncate", "fallocate", "munmap", "mremap", "madvise", "brk"),
    # What Python and the C library need to go on and to end.
    *("clock_gettime", "clock_getres", "gettimeofday", "getrandom", "getpid", "gettid", "getuid", "geteuid"),
    *(
        "getgid",
        "getegid",
        "getppid",
        "getrusage",
        "sched_getaffinity",
        "rseq",
        "set_robust_list",
        "membarrier",
    ),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "exit", "exit_group"),
)
"""Allowed whatever their arguments are; mmap and mprotect are, too, but not for memory that is executed."""

IOCTLS: Final = (
    *(termios.FIONBIO, termios.FIOCLEX, termios.FIONCLEX),
    udmabuf.UDMABUF_CREATE_LIST,
    sync_file.SYNC_IOC_FILE_INFO,
    *(drm_syncobj.DRM_IOCTL_SYNCOBJ_CREATE, drm_syncobj.DRM_IOCTL_SYNCOBJ_DESTROY),
    *(drm_syncobj.DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, drm_syncobj.DRM_IOCTL_SYNCOBJ_EVENTFD),
    drm_syncobj.DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL,
)
"""Standard error may be the person's terminal, into which others would type (TIOCSTI), and a device has more
to offer than the buffers and fences that we make of it."""

FCNTLS: Final = (
    *(fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL),
    *(fcntl.F_ADD_SEALS, fcntl.F_GET_SEALS),
)
"""Others have signals sent to whoever is named (F_SETOWN, F_SETSIG), or hold locks and leases."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Filter(Protocol):
    """A filter of libseccomp's."""

    def add_rule(self, action: int, syscall: str, *arguments: object) -> None:
        """Adds a rule."""
        ...

    def load(self) -> None:
        """Puts it in force."""
        ...


class Seccomp(Protocol):
    """What we use of pyseccomp, Python's interface to libseccomp, whose table knows every architecture."""

    ALLOW: int
    MASKED_EQ: int

    def ERRNO(self, code: int) -> int:
        """The action that fails a call."""
        ...

    def SyscallFilter(self, defaction: int) -> _Filter:
        """A filter with that action where no rule says otherwise."""
        ...

    def Arg(self, arg: int, op: int, datum_a: int, datum_b: int) -> object:
        """A condition on an argument."""
        ...

    def resolve_syscall(self, arch: int, syscall: str) -> int:
        """A call's number; negative for one that the architecture, 0 for this one, does not have."""
        ...


def prepare() -> Seccomp | None:
    """Loads libseccomp, which takes files; before `enter`.  None where this machine has none."""
    try:
        return cast("Seccomp", import_module("pyseccomp"))
    except (ImportError, RuntimeError, OSError):
        return None


def enter(seccomp: Seccomp | None) -> list[str]:
    """Gives up everything, for good; returns the layers that this machine lacks.

    Raises:
        EnvironmentFault: a layer that it has can't be put in force: nothing may be served then.
    """
    missing: list[str] = []
    try:
        _limit()
        _drop_privileges()
        if not landlock.restrict():
            missing.append("Landlock")
        if seccomp is None:
            missing.append("seccomp")
        else:
            _filter(seccomp, may_open="Landlock" not in missing)
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"a worker can't be confined: {error}",
            hint="the log says more; is this an unusual kernel or container?",
        ) from error
    return missing


def tie_to_parent() -> None:
    """The kernel kills this process when the one that forked it ends, in whatever way; and a terminal is
    nothing to it any more, neither to be stopped from nor to type into.
    """
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    os.setsid()


def forget_environment() -> None:
    """Wipes the environment that the process was started with, which may hold secrets of the user's.

    The time zone stays, for the log.
    """
    zone = os.environ.get("TZ")
    os.environ.clear()
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = map(int, fields[_ENVIRONMENT])
    ctypes.memset(start, 0, end - start)
    if zone is not None:
        os.environ["TZ"] = zone


def _limit() -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, 0)
    _lower(resource.RLIMIT_FSIZE, MAX_BLOB_SIZE)
    _lower(resource.RLIMIT_DATA, MAX_WORKER_MEMORY)
    _lower(resource.RLIMIT_MEMLOCK, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    _lower(resource.RLIMIT_NOFILE, MAX_WORKER_FDS)


def _lower(kind: int, most: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    lower = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (lower, lower))


def _drop_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) and os.geteuid():
            break  # who has no capabilities needs none to have none
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if _libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capabilities stay")


def _filter(seccomp: Seccomp, *, may_open: bool) -> None:
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    # Pipes and memory that came as fds are opened anew, and Landlock lets nothing else be opened.
    for name in (*SYSTEM_CALLS, *(("openat",) if may_open else ())):
        _allow(rules, seccomp, name)
    for name, numbers in (("ioctl", IOCTLS), ("fcntl", FCNTLS)):
        for number in numbers:
            # The kernel looks at 32 bits of it.
            _allow(rules, seccomp, name, seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, number & 0xFFFFFFFF))
    for name in ("mmap", "mprotect"):
        _allow(rules, seccomp, name, seccomp.Arg(2, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
    rules.load()


def _allow(rules: _Filter, seccomp: Seccomp, name: str, *conditions: object) -> None:
    if seccomp.resolve_syscall(_THIS_ARCHITECTURE, name) >= 0:
        rules.add_rule(seccomp.ALLOW, name, *conditions)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
