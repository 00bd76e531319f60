"""A guest program that means harm: `python3 -m tests.fakes.vandal KIND SEED ROUNDS`.

Every round opens a channel, or a client's connection, of its own and ruins it in a way that depends on
the seed alone.  Refusals are what it expects; it ends with 0 when it is through all rounds.
It uses the launcher's own ioctls, because the guest's kernel takes anything below them.
"""

import mmap
import os
import random
import sys
from collections.abc import Callable
from typing import Final

from crossdomain.abi import clock, virtgpu_drm
from crossdomain.abi import cross_domain as abi
from crossdomain.abi.cross_domain import ChannelType, Identifier, IdentifierType
from launcher.channel import drm, render_node
from tests.fakes.client import FakeClient

_BLOB_FLAGS: Final = virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_MAPPABLE | virtgpu_drm.VIRTGPU_BLOB_FLAG_USE_SHAREABLE
_EDGES: Final = (0, 1, 2, 27, 28, 29, 4095, 4096, 60001, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF)


class Vandal:
    """One open render node with a cross-domain context."""

    def __init__(self, node: str, dice: random.Random) -> None:
        self.dice = dice
        self.fd = drm.open_node(node)
        drm.create_context(self.fd, abi.CAPSET_ID, 2, 1 << abi.CHANNEL_RING, "vandal")
        self.blobs: list[drm.Blob] = []

    def close(self) -> None:
        """Leave everything as it is: the kernel and the host have to clean up."""
        os.close(self.fd)

    def number(self) -> int:
        """A number at the edge of something, or any."""
        return self.dice.choice(_EDGES) if self.dice.random() < 0.7 else self.dice.getrandbits(32)

    def ring(self) -> int:
        """Resource id of a new ring."""
        blob = drm.create_blob(self.fd, virtgpu_drm.VIRTGPU_BLOB_MEM_GUEST, _BLOB_FLAGS & 1, mmap.PAGESIZE, 0)
        self.blobs.append(blob)
        return blob.resource_id

    def connect(self) -> None:
        """A proper INIT."""
        self.submit(abi.encode_init(self.ring(), self.ring()))

    def submit(self, commands: bytes, *, ring_idx: int | None = None) -> None:
        """Submit anything; what the kernel refuses is refused."""
        try:
            drm.execute(self.fd, commands, ring_idx=ring_idx)
        except OSError:
            return

    def send(self, data: bytes, identifiers: tuple[Identifier, ...] = ()) -> None:
        """SEND."""
        self.submit(abi.encode_send(data, identifiers))


def noise(vandal: Vandal) -> None:
    """Bytes without any sense, whole and in small pieces."""
    if vandal.dice.random() < 0.5:
        vandal.connect()
    for _ in range(20):
        vandal.submit(vandal.dice.randbytes(vandal.dice.choice((1, 7, 8, 16, 24, 352, 353, 5000))))


def headers(vandal: Vandal) -> None:
    """Every command number with sizes that are too small, too large and contradictory."""
    if vandal.dice.random() < 0.5:
        vandal.connect()
    for _ in range(40):
        body = vandal.dice.randbytes(vandal.dice.choice((0, 8, 16, 344, 400)))
        size = vandal.dice.choice((0, 7, 8, len(body) + 8, len(body) + 9, 0xFFFF))
        vandal.submit(abi.HEADER.pack(vandal.dice.randrange(16), vandal.number() & 0xFF, size, 0) + body)


def inits(vandal: Vandal) -> None:
    """INIT twice, with rings that do not exist, and on channels of all types."""
    for _ in range(10):
        query = vandal.dice.choice((vandal.ring(), vandal.number()))
        channel = vandal.dice.choice((vandal.ring(), vandal.number()))
        kind = vandal.dice.choice((*ChannelType, vandal.number()))
        vandal.submit(abi.encode_init(query, channel, kind))
        vandal.submit(abi.encode_poll(), ring_idx=abi.CHANNEL_RING)


def polls(vandal: Vandal) -> None:
    """Many POLLs at once, before INIT and after it, left behind unanswered."""
    for _ in range(50):
        vandal.submit(abi.encode_poll(), ring_idx=abi.CHANNEL_RING)
    vandal.connect()
    for _ in range(50):
        vandal.submit(abi.encode_poll(), ring_idx=abi.CHANNEL_RING)


def identifiers(vandal: Vandal) -> None:
    """SENDs with resources, pipes and sync objects that are nobody's."""
    vandal.connect()
    get_registry = bytes.fromhex("0100000001000c0002000000")
    for _ in range(20):
        count = vandal.dice.randrange(29)
        given = tuple(
            Identifier(vandal.number(), vandal.dice.choice((*IdentifierType, 9)), vandal.number())
            for _ in range(count)
        )
        vandal.send(get_registry, given)
        vandal.submit(abi.encode_write(vandal.number(), b"x" * vandal.dice.randrange(100), hang_up=True))


def images(vandal: Vandal) -> None:
    """Image requirements and blobs of impossible sizes, blob ids of others, and blobs left behind."""
    vandal.connect()
    for _ in range(20):
        vandal.submit(abi.encode_get_image_requirements(vandal.number(), vandal.number(), vandal.number()))
        size = vandal.dice.choice((4096, 1 << 20, 1 << 30, 1 << 40))
        try:
            blob = drm.create_blob(
                vandal.fd, virtgpu_drm.VIRTGPU_BLOB_MEM_HOST3D, _BLOB_FLAGS, size, vandal.number()
            )
            drm.map_blob(vandal.fd, blob.handle, size).close()
        except (OSError, ValueError, OverflowError):
            continue


def clocks(vandal: Vandal) -> None:
    """Questions for clocks that there are not, cut short, before INIT and after it."""
    for connected in (False, True):
        if connected:
            vandal.connect()
        for _ in range(20):
            question = clock.GET_CLOCK.pack(vandal.number() & 0xFFFFFFFF, vandal.number() & 0xFFFFFFFF)
            size = vandal.dice.choice((8, 12, 16, 16, 16))
            header = abi.HEADER.pack(abi.Command.GET_CLOCK, abi.QUERY_RING, size, 0)
            vandal.submit(header + question[abi.HEADER.size : size], ring_idx=abi.QUERY_RING)


def messages(vandal: Vandal) -> None:
    """Wayland messages that break the protocol, and some that ask for what is hidden."""
    vandal.connect()
    for _ in range(20):
        size = vandal.dice.choice((8, 12, 20, 24, 4096))
        target = vandal.dice.choice((0, 1, 2, 3, 0xFF000000, 0xFFFFFFFF))
        header = target.to_bytes(4, "little") + vandal.dice.randrange(12).to_bytes(2, "little")
        announced = vandal.dice.choice((size, 0, 4, 7, 0xFFFC))
        vandal.send(header + announced.to_bytes(2, "little") + vandal.dice.randbytes(size - 8))


CHANNEL_KINDS: Final[dict[str, Callable[[Vandal], None]]] = {
    kind.__name__: kind for kind in (noise, headers, inits, polls, identifiers, images, clocks, messages)
}


def client_round(dice: random.Random) -> None:
    """One client of the launcher that sends nonsense, with fds that nobody asked for."""
    client = FakeClient()
    fds = [os.memfd_create("junk") for _ in range(dice.randrange(28))]
    for _ in range(10):
        client.send_raw(dice.randbytes(dice.choice((1, 8, 12, 4096))), fds)
    for fd in fds:
        os.close(fd)
    client.close()


def main(arguments: list[str]) -> int:
    """Ruin ROUNDS channels or connections."""
    kind, seed, rounds = arguments[0], int(arguments[1]), int(arguments[2])
    node = None if kind == "clients" else render_node.find()
    for number in range(rounds):
        dice = random.Random(f"{kind} {seed} {number}")
        if node is None:
            client_round(dice)
            continue
        vandal = Vandal(node.path, dice)
        CHANNEL_KINDS[kind](vandal)
        vandal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
