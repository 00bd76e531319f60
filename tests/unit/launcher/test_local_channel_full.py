"""The channel to a daemon on the same machine, where that is slow to read."""

import array
import fcntl
import os
import socket
import termios
import threading
import time
from pathlib import Path
from typing import Final

from crossdomain.abi import local
from crossdomain.abi.cross_domain import ChannelType, Feature, encode_capset, encode_receive
from launcher.channel.local import LocalChannel

PATIENCE: Final = 10.0
SIZE: Final = 4096


class SlowDaemon:
    """The daemon's end of one connection: it answers the greeting, and reads no more until it is told to."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._greet)
        self._thread.start()
        self.shared: list[int] = []
        """The file that came with each CREATE_GUEST_BLOB, by its inode; 0 where none came."""

    def send(self, type_: int, payload: bytes) -> None:
        """Send a packet."""
        self._connection.send(local.encode_packet(type_, payload))

    def wait_connected(self) -> None:
        """Return when the greeting is done."""
        self._thread.join()

    def start_reading(self) -> None:
        """Read from now on what comes, as soon as the launcher has read all that was sent."""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        """End, when all was read."""
        self._thread.join()
        self._connection.close()
        self._listener.close()

    def _greet(self) -> None:
        self._connection, _ = self._listener.accept()
        self._connection.recv(local.MAX_PACKET)
        capset = encode_capset(1 << ChannelType.WAYLAND, features=Feature.SHARE_FILES)
        self.send(local.ToLauncher.WELCOME, capset)
        self._connection.recv(local.MAX_PACKET)

    def _read(self) -> None:
        unread = array.array("i", [1])
        deadline = time.monotonic() + PATIENCE
        while unread[0] and time.monotonic() < deadline:
            fcntl.ioctl(self._connection, termios.TIOCOUTQ, unread)
        while not self.shared:
            data, fds, _, _ = socket.recv_fds(self._connection, local.MAX_PACKET, 1)
            if local.parse_packet(data).type == local.ToDaemon.CREATE_GUEST_BLOB:
                self.shared.append(os.fstat(fds[0]).st_ino if fds else 0)
            for fd in fds:
                os.close(fd)


def test_a_file_is_shared_also_where_the_daemon_has_to_be_heard_first(tmp_path: Path) -> None:
    daemon = SlowDaemon(tmp_path / "local")
    channel = LocalChannel(str(tmp_path / "local"), "test")
    daemon.wait_connected()
    while channel.send(bytes(SIZE)):
        pass
    daemon.send(local.ToLauncher.EVENT, encode_receive(b"event"))
    daemon.start_reading()
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.truncate(fd, SIZE)
    assert channel.share_file(fd, SIZE) is not None
    daemon.close()
    assert daemon.shared == [os.fstat(fd).st_ino]
    assert len(channel.receive()) == 1
    channel.close()
    os.close(fd)
