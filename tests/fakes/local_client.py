"""A launcher that speaks the local channel byte by byte, with every mistake possible.

It waits for one packet at a time, with a deadline; fds that it receives are its own.
"""

import mmap
import os
import socket
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from crossdomain.abi import cross_domain, local
from crossdomain.abi.cross_domain import Buffer, Capset, Identifier, ReadWrite, SendReceive
from crossdomain.abi.local import Packet, ToDaemon, ToLauncher

PATIENCE: Final = 30.0


class LocalClient:
    """One connection to a daemon's local socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.fds: list[int] = []

    @classmethod
    def connect(cls, path: Path, name: str = "raw client") -> Self:
        """A client that has said HELLO and INIT."""
        client = cls(path)
        client.greet(name)
        client.submit(cross_domain.encode_init(cross_domain.RING_NONE, cross_domain.RING_NONE))
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves without a word."""
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def greet(self, name: str = "raw client", *, version: int = local.VERSION) -> Capset:
        """HELLO, answered by WELCOME."""
        self.send_packet(ToDaemon.HELLO, local.HELLO.pack(version) + name.encode())
        return cross_domain.parse_capset(self.expect(ToLauncher.WELCOME).payload)

    def send_packet(
        self,
        type_: int,
        payload: bytes = b"",
        *,
        resource_id: int = 0,
        size: int = 0,
        fds: Sequence[int] = (),
    ) -> None:
        """One packet; the fds stay the caller's."""
        self.send_raw(local.encode_packet(type_, payload, resource_id=resource_id, size=size), fds)

    def send_raw(self, packet: bytes, fds: Sequence[int] = ()) -> None:
        """Any bytes as one packet."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        self.socket.sendmsg([packet], ancillary)

    def submit(self, commands: bytes) -> None:
        """SUBMIT."""
        self.send_packet(ToDaemon.SUBMIT, commands)

    def send(self, data: bytes, *identifiers: Identifier) -> None:
        """SUBMIT of one SEND."""
        self.submit(cross_domain.encode_send(data, identifiers))

    def next_packet(self) -> Packet | None:
        """The next packet, None at the end of the connection."""
        try:
            data, ancillary, _flags, _address = self.socket.recvmsg(
                local.MAX_PACKET, socket.CMSG_SPACE(array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        for _level, _type, content in ancillary:
            self.fds += array("i", content)
        return local.parse_packet(data) if data else None

    def expect(self, type_: int) -> Packet:
        """The next packet, which has that type."""
        packet = self.next_packet()
        assert packet is not None, "the daemon closed the connection"
        assert packet.type == type_, f"a packet of type {packet.type:#x}: {bytes(packet.payload)!r}"
        return packet

    def next_event(self) -> SendReceive | ReadWrite:
        """The next packet, which is an EVENT."""
        return cross_domain.parse_event(self.expect(ToLauncher.EVENT).payload)

    def receive(self, size: int) -> bytes:
        """RECEIVEs joined until there are exactly `size` bytes."""
        joined = b""
        while len(joined) < size:
            event = self.next_event()
            assert event.data, "the daemon hung up"
            joined += event.data
        assert len(joined) == size
        return joined

    def error(self) -> str:
        """The text of the next packet, which is an ERROR."""
        return bytes(self.expect(ToLauncher.ERROR).payload).decode()

    def wait_for_close(self) -> None:
        """Reads what there is until the daemon closes the connection."""
        while self.next_packet() is not None:
            pass

    def create_memory(self, resource_id: int, size: int) -> mmap.mmap:
        """Host memory of `size` bytes through image requirements, mapped."""
        self.submit(cross_domain.encode_get_image_requirements(size, 1, _R8))
        answer = cross_domain.parse_image_requirements(self.expect(ToLauncher.QUERY).payload)
        return self.create_host_blob(resource_id, answer.blob_id, answer.size)

    def create_host_blob(self, resource_id: int, blob_id: int, size: int) -> mmap.mmap:
        """CREATE_HOST_BLOB, answered by CREATED; its memory, mapped."""
        payload = local.BLOB_ID.pack(blob_id)
        self.send_packet(ToDaemon.CREATE_HOST_BLOB, payload, resource_id=resource_id, size=size)
        created = self.expect(ToLauncher.CREATED)
        assert (created.resource_id, created.size) == (resource_id, size)
        fd = self.fds.pop()
        try:
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def create_guest_blob(self, resource_id: int, content: Buffer) -> None:
        """CREATE_GUEST_BLOB of a memfd with that content."""
        fd = os.memfd_create("guest blob")
        os.write(fd, content)
        self.send_packet(ToDaemon.CREATE_GUEST_BLOB, resource_id=resource_id, size=len(content), fds=[fd])
        os.close(fd)


_R8: Final = int.from_bytes(b"R8  ", "little")
