"""What asyncio waits with where C serves some of the fds: `selectors.EpollSelector`, and ports.

An fd may have a port (`crossdomain/native/poller.h`), which serves what comes on it without Python.  What
a port has begun and can't finish goes to the port's taker, from inside of `select`: before anything else
happens to that fd.  What it does not serve at all is told to asyncio, as if there were no port.
"""

import asyncio
import math
import os
import selectors
from collections.abc import Callable, Iterator, Mapping
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from crossdomain.native import ffi, lib

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from crossdomain.native._core import PortPointer

_FOR_EVER: Final = -1


class Handover(NamedTuple):
    """What a port has taken and not finished."""

    kind: int
    """Of `enum xd_handed`."""
    data: bytes
    fds: list[int]
    """The taker's."""
    flags: int
    """recvmsg's."""


Taker: TypeAlias = Callable[[Handover], None]


class _Keys(Mapping["FileDescriptorLike", selectors.SelectorKey]):
    """What is registered, by fd or by what has one."""

    def __init__(self, keys: dict[int, selectors.SelectorKey]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._keys[_number(fileobj)]

    def __iter__(self) -> Iterator["FileDescriptorLike"]:
        return iter(self._keys)


class PortSelector(selectors.BaseSelector):
    """See the module's docstring.  Whoever closes an fd takes its port away and unregisters it before."""

    def __init__(self) -> None:
        """Raises OSError where the kernel gives no epoll."""
        poller = lib.xd_poller_create()
        if not poller:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self._poller = ffi.gc(poller, lib.xd_poller_free)
        self._closed = False
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._map = _Keys(self._keys)
        self._takers: dict[int, Taker] = {}

    def attach(self, fd: int, port: "PortPointer", taker: Taker) -> None:
        """Lets the port, which must live until `detach`, serve the fd whenever asyncio reads from it."""
        _check(lib.xd_poller_attach(self._poller, fd, port))
        self._takers[fd] = taker

    def detach(self, fd: int) -> None:
        """The fd is served by asyncio alone again."""
        if self._takers.pop(fd, None) is not None:
            _check(lib.xd_poller_attach(self._poller, fd, ffi.NULL))

    def register(
        self, fileobj: "FileDescriptorLike", events: int, data: object = None
    ) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        fd = _number(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        _check(lib.xd_poller_watch(self._poller, fd, _to_epoll(events)))
        key = self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        key = self._keys.pop(_number(fileobj))
        # An error says that the file is closed: the kernel has forgotten it by itself.
        lib.xd_poller_watch(self._poller, key.fd, 0)
        return key

    def modify(
        self, fileobj: "FileDescriptorLike", events: int, data: object = None
    ) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        key = self._keys[_number(fileobj)]
        if events != key.events:
            _check(lib.xd_poller_watch(self._poller, key.fd, _to_epoll(events)))
        changed = self._keys[key.fd] = key._replace(events=events, data=data)
        return changed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector`; may return early, and with nothing."""
        patience = _FOR_EVER if timeout is None else max(0, math.ceil(timeout * 1000))
        handed = lib.xd_poller_wait(self._poller, patience)
        if handed == lib.XD_READY:
            return self._take_ready()
        if handed == lib.XD_FAILED:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self._hand_over(handed)
        return []

    def close(self) -> None:
        """See `selectors.BaseSelector`."""
        if not self._closed:
            self._closed = True
            self._keys.clear()
            self._takers.clear()
            ffi.release(self._poller)

    def get_key(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        if self._closed:
            raise RuntimeError("the selector is closed")
        return self._map[fileobj]

    def get_map(self) -> Mapping["FileDescriptorLike", selectors.SelectorKey]:
        """See `selectors.BaseSelector`."""
        return self._map

    def _take_ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        poller = self._poller
        ready: list[tuple[selectors.SelectorKey, int]] = []
        for index in range(poller.ready_count):
            found, key = poller.ready_events[index], self._keys.get(poller.ready[index])
            if not found or key is None:
                continue
            # A hang-up or an error is told to whoever waits for anything.
            events = (selectors.EVENT_READ if found & ~EPOLLOUT else 0) | (
                selectors.EVENT_WRITE if found & ~EPOLLIN else 0
            )
            if events & key.events:
                ready.append((key, events & key.events))
        return ready

    def _hand_over(self, fd: int) -> None:
        handover = self._poller.handover
        fds = [handover.fds[index] for index in range(handover.fd_count)]
        data = bytes(ffi.buffer(handover.data, handover.size)) if handover.size else b""
        try:
            self._takers[fd](Handover(handover.kind, data, fds, handover.flags))
        except Exception as error:  # noqa: BLE001  # asyncio does the same with what its callbacks raise
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": f"what came on fd {fd}", "exception": error})


def _number(fileobj: "FileDescriptorLike") -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def _to_epoll(events: int) -> int:
    return (EPOLLIN if events & selectors.EVENT_READ else 0) | (
        EPOLLOUT if events & selectors.EVENT_WRITE else 0
    )


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
