"""What `launcher.signals` has of CPython's own module below `signal`."""

from collections.abc import Iterable

SIG_BLOCK: int
SIG_SETMASK: int
SIG_DFL: int
SIG_IGN: int
SIGHUP: int
SIGINT: int
SIGQUIT: int
SIGUSR1: int
SIGUSR2: int
SIGKILL: int
SIGPIPE: int
SIGTERM: int
SIGXFSZ: int

def getsignal(signalnum: int, /) -> object: ...
def signal(signalnum: int, handler: int, /) -> object: ...
def pthread_sigmask(how: int, mask: Iterable[int], /) -> set[int]: ...
def pidfd_send_signal(pidfd: int, sig: int, siginfo: None = None, flags: int = 0, /) -> None: ...
