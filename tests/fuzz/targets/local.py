"""A launcher without a VM that sends packets of any bytes with descriptors of every kind."""

import os
import socket
from array import array
from typing import Final

from crossdomain.abi import local as abi
from crossdomain.abi.cross_domain import (
    RING_NONE,
    encode_init,
)
from crossdomain.abi.local import ToDaemon
from crossdomain.context.capset import capset
from crossdomain.device.vhost_user import close_all
from crossdomain.host.local import LocalConnection
from tests.fuzz.commands import KEY, any_command, asking, claiming, copying, expecting, saying, showing
from tests.fuzz.contexts import Compositors
from tests.fuzz.descriptors import KINDS, memory
from tests.fuzz.source import Source
from tests.fuzz.watch import Watch

_TYPES: Final = (
    *[ToDaemon.SUBMIT] * 5,
    ToDaemon.CREATE_GUEST_BLOB,
    ToDaemon.CREATE_HOST_BLOB,
    ToDaemon.DESTROY,
    ToDaemon.CREATE_SYNC,
    ToDaemon.TAKE_SYNC,
    ToDaemon.HELLO,
)
_BEGUN: Final = 250
"""Of 256 launchers so many greet the daemon, and every other one has its INIT behind it, too."""


def _keyed() -> int:
    fd = memory()
    os.pwrite(fd, KEY, 0)
    return fd


_KINDS: Final = (*KINDS, _keyed)
"""The last begins with a key, so that COPY_PAGES and SHOW_PAGES may name it."""
_CAPSET: Final = capset(shares_files=True)
_watch: Final = Watch()


def run(data: bytes) -> None:
    """One connection."""
    _watch.run(lambda: _Launcher(Source(data)).live())


class _Launcher:
    """The launcher's end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compositors = Compositors(_watch.ports if source.flag() else None)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._ended = False
        self._connection = LocalConnection(
            theirs,
            self._compositors.new_local_context,
            self._end,
            _CAPSET,
            self._compositors.allowance,
        )

    def live(self) -> None:
        try:
            begun = self._source.byte()
            if begun < _BEGUN:
                self._send(abi.encode_packet(ToDaemon.HELLO, abi.HELLO.pack(abi.VERSION)))
            if begun & 1:
                self._send(abi.encode_packet(ToDaemon.SUBMIT, encode_init(RING_NONE, RING_NONE)))
            while self._source.left and not self._ended:
                self._step()
                _watch.turn(self._source.byte() % 4)
        finally:
            self._drain()
            self._socket.close()
            _watch.turn(2)
            self._connection.close()
            self._compositors.close()
            _watch.take_apart(*self._compositors.end(), self._connection, self)
        assert self._ended, "nobody was told of the end"

    def _end(self, _connection: LocalConnection) -> None:
        self._ended = True

    def _step(self) -> None:
        match self._source.byte() % 8:
            case 0:
                self._compositors.act(self._source)
            case 1:
                self._drain()
            case _:
                self._speak()

    def _speak(self) -> None:
        source = self._source
        if source.byte() > 250:
            packet = source.any_block()
            self._send(packet, [source.choice(_KINDS)() for _ in range(source.byte() % 2)])
            return
        kind = source.choice(_TYPES) if source.byte() < 250 else source.word()
        match kind:
            case ToDaemon.SUBMIT:
                payload = any_command(source, (RING_NONE, RING_NONE))
            case ToDaemon.CREATE_HOST_BLOB:
                payload = abi.BLOB_ID.pack(source.number(6))
            case _:
                payload = source.any_block(64)
        usual = 1 if kind in (ToDaemon.CREATE_GUEST_BLOB, ToDaemon.CREATE_SYNC) else 0
        count = usual if source.byte() < 245 else source.byte() % 4
        size = source.choice((4096, 8192, 1, 0, 1 << 20, 1 << 63))
        packet = abi.encode_packet(kind, payload, resource_id=source.number(6), size=size)
        self._send(packet, [source.choice(_KINDS)() for _ in range(count)])

    def _send(self, packet: bytes, fds: list[int] | None = None) -> None:
        fds = fds or []
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            if packet:
                self._socket.sendmsg([packet], rights, socket.MSG_NOSIGNAL)
        except OSError:  # it has hung up, or does not read
            pass
        finally:
            close_all(fds)

    def _drain(self) -> None:
        while True:
            try:
                data, fds, _flags, _address = socket.recv_fds(self._socket, abi.MAX_PACKET, 4)
            except OSError:
                return
            close_all(fds)
            if not data:
                return


def seeds() -> list[bytes]:
    """A client that talks; memory of both sides, made, sent and destroyed; files of each kind."""
    first, binds, _objects, rest, objects = (_any(saying(part)) for part in range(5))
    talk = first + bytes([0, 0, 3, 3]) + binds
    image = _any(asking(64, 1, b"R8  "))
    blob = _packet(
        abi.encode_packet(ToDaemon.CREATE_HOST_BLOB, abi.BLOB_ID.pack(2), resource_id=3, size=4096)
    )
    files = [
        _packet(abi.encode_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=3, size=4096), kind)
        for kind in range(len(_KINDS))
    ]
    shown, copied = _any(showing(3)), image + blob + _any(copying(3, 4))
    keyed = _packet(abi.encode_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=4, size=8192), len(KINDS))
    claimed = _any(expecting()) + files[0] + _any(claiming(3)) + shown + _any(saying(6)) + rest
    gone = _packet(abi.encode_packet(ToDaemon.DESTROY, resource_id=3))
    hello = _packet(abi.encode_packet(ToDaemon.HELLO, abi.HELLO.pack(2)))
    stories = (
        talk,
        image + blob + talk + objects + rest + gone,
        hello,
        talk + claimed,
        talk + files[-1] + shown + _any(saying(6)) + _any(saying(7)) + rest,
        talk + files[-1] + _any(showing(3, kib=4)),
        keyed + copied,
    )
    lives = (*stories, *(talk + file + objects + gone for file in files))
    return [bytes([number & 1, 1]) + life for number, life in enumerate((*lives, talk, talk + rest))]


def _packet(packet: bytes, kind: int | None = None) -> bytes:
    """A step that is one whole packet, with a descriptor of that kind."""
    fds = bytes([0]) if kind is None else bytes([1, kind])
    return bytes([2, 251]) + len(packet).to_bytes(2, "little") + packet + fds + bytes([3])


def _any(choices: bytes) -> bytes:
    """A step that is a SUBMIT of what `any_command` makes of these choices."""
    return bytes([2, 0, 0, 0]) + choices + bytes([0, 0, 0, 3])
