"""Every message with an fd that the policy lets through, found in the tables, through launcher and daemon.

Each object is made as a client would make it: from a global, by the requests and events that lead there.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from crossdomain.wire import policy
from crossdomain.wire.engine import Direction, messages_of
from crossdomain.wire.policy import Carriage
from crossdomain.wire.tables import Argument, ArgumentKind, Message, load
from tests.fakes.client import FakeClient, ProtocolError, Proxy, integer
from tests.fakes.compositor import FakeCompositor, Peer, Resource, served
from tests.fakes.daemon import running_daemon
from tests.fakes.endpoint import Plain
from tests.fakes.launcher import RunningLauncher, running_launcher

RULES: Final = {name: rule for name, rule in policy.load().rules.items() if rule.version}
CONTENTS: Final = b"x" * 64
"""The same byte everywhere, so that it does not matter which part of a file a message means."""
DEFAULTS: Final[dict[ArgumentKind, Plain]] = {
    ArgumentKind.INT: 1,
    ArgumentKind.UINT: 1,
    ArgumentKind.FIXED: 256,
    ArgumentKind.STRING: "text/plain",
    ArgumentKind.ARRAY: b"",
}


class Step(NamedTuple):
    """A message that makes an object: `interface` is the sender's object's."""

    interface: str
    direction: Direction
    message: Message


def steps() -> dict[str, Step]:
    """For each interface that is no global, the message by which the shortest way leads to it."""
    found: dict[str, Step] = {}
    waiting = list(RULES)
    for name in waiting:
        for direction in Direction:
            for message in messages_of(load(), load().index(name), direction):
                for argument in message.arguments:
                    made = argument.interface
                    if argument.kind is ArgumentKind.NEW_ID and made and made not in (*found, *RULES):
                        found[made] = Step(name, direction, message)
                        waiting.append(made)
    return found


STEPS: Final = steps()


class Both(NamedTuple):
    """The two ends of an object."""

    proxy: Proxy
    resource: Resource


class Objects:
    """What one client has made; an object of each interface at most."""

    def __init__(self, client: FakeClient, compositor: FakeCompositor) -> None:
        self.client = client
        self.compositor = compositor
        self._made: dict[str, Both] = {}

    @property
    def peer(self) -> Peer:
        """The compositor's side of the client."""
        return self.compositor.peers[-1]

    def get(self, interface: str) -> Both:
        """The object of an interface, made where there is none yet."""
        if interface not in self._made:
            step = STEPS.get(interface)
            self._made[interface] = self._bind(interface) if step is None else self._make(step)
        return self._made[interface]

    def send(self, interface: str, name: str, fd: int) -> None:
        """Let the client send a request with an fd, which stays the caller's."""
        message = find(interface, name)
        self.get(interface).proxy.send(name, *self._values(message, fd))
        self.round_trip()

    def tell(self, interface: str, name: str, fd: int) -> int:
        """Let the compositor send an event with an fd, which stays the caller's; the one that arrives."""
        proxy, resource = self.get(interface)
        message = find(interface, name)
        resource.send(name, *self._values(message, fd))
        self.client.wait(lambda: bool(proxy.received(name)), what=name)
        return integer(proxy.received(name)[0][position_of_fd(message)])

    def received(self, name: str) -> int:
        """The fd of the request that the compositor got."""
        (request,) = self.peer.named(name)
        fd = request.arguments[position_of_fd(find(request.resource.interface.name, name))]
        assert isinstance(fd, int)
        return fd

    def round_trip(self) -> None:
        """Return when the compositor has handled everything."""
        with served(self.compositor):
            self.client.round_trip()

    def _bind(self, interface: str) -> Both:
        proxy = self.client.bind(interface)
        self.round_trip()
        return Both(proxy, self.peer.bound[interface])

    def _make(self, step: Step) -> Both:
        parent = self.get(step.interface)
        values = self._values(step.message)
        if step.direction is Direction.REQUEST:
            proxy = parent.proxy.create(step.message.name, *values)
            self.round_trip()
            return Both(proxy, self.peer.objects[proxy.object_id])
        resource = parent.resource.create(step.message.name, *values)
        self.client.wait(lambda: resource.object_id in self.client.objects, what=step.message.name)
        return Both(self.client.objects[resource.object_id], resource)

    def _values(self, message: Message, fd: int | None = None) -> list[Plain]:
        kept = (argument for argument in message.arguments if argument.kind is not ArgumentKind.NEW_ID)
        return [self._value(argument, fd) for argument in kept]

    def _value(self, argument: Argument, fd: int | None) -> Plain:
        if argument.kind is ArgumentKind.FD:
            return fd
        if argument.kind is not ArgumentKind.OBJECT:
            return DEFAULTS[argument.kind]
        assert argument.interface is not None
        return None if argument.nullable else self.get(argument.interface).proxy.object_id


def find(interface: str, name: str) -> Message:
    """A message by its name."""
    found = load().interface(interface)
    return next(message for message in (*found.requests, *found.events) if message.name == name)


def position_of_fd(message: Message) -> int:
    """Which of a message's arguments is its fd."""
    return [argument.kind for argument in message.arguments].index(ArgumentKind.FD)


def carried(carriage: Carriage, direction: Direction) -> list[tuple[str, str]]:
    """The messages whose fd is carried that way."""
    return [
        (interface, name)
        for (interface, name), found in policy.load().descriptors.items()
        if found is carriage
        if name in (message.name for message in messages_of(load(), load().index(interface), direction))
    ]


@pytest.fixture(scope="module")
def compositor() -> Generator[FakeCompositor]:
    """It offers all that a guest may ever see."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    with FakeCompositor(folder / "host", {name: rule.version for name, rule in RULES.items()}) as made:
        yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def launcher(compositor: FakeCompositor) -> Generator[RunningLauncher]:
    """A launcher whose host allows everything that can be allowed."""
    folder = Path(tempfile.mkdtemp(prefix="xd-"))
    allowed = [f"--allow={group}" for group in policy.load().grantable]
    with (
        running_daemon(folder, compositor.path, *allowed) as daemon,
        running_launcher(folder, daemon.local_socket) as running,
    ):
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def objects(compositor: FakeCompositor, launcher: RunningLauncher) -> Generator[Objects]:
    """What a new client makes."""
    with served(compositor):
        client = FakeClient(launcher.socket)
    made = Objects(client, compositor)
    with client:
        yield made
    compositor.wait(lambda: made.peer.gone, what="end of the client")


@pytest.fixture
def file() -> Generator[int]:
    """A file with contents."""
    fd = os.memfd_create("file")
    os.write(fd, CONTENTS)
    yield fd
    os.close(fd)


def read_all(fd: int) -> bytes:
    """What a pipe brings until its end; it is closed."""
    with open(fd, "rb") as pipe:
        return pipe.read()


def test_every_way_of_an_fd_is_tested_here() -> None:
    ways = [carried(carriage, direction) for carriage in Carriage for direction in Direction]
    assert sorted(message for way in ways for message in way) == sorted(policy.load().descriptors)
    assert carried(Carriage.POOL, Direction.REQUEST) == [("wl_shm", "create_pool")]
    assert carried(Carriage.POOL, Direction.EVENT) == []


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.FILE, Direction.REQUEST))
def test_a_file_of_the_client_reaches_the_compositor(
    interface: str, name: str, objects: Objects, file: int
) -> None:
    objects.send(interface, name, file)
    received = objects.received(name)
    assert os.pread(received, 1, 0) == CONTENTS[:1]
    os.close(received)


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.FILE, Direction.EVENT))
def test_a_file_of_the_compositor_reaches_the_client(
    interface: str, name: str, objects: Objects, file: int
) -> None:
    received = objects.tell(interface, name, file)
    assert os.pread(received, 100, 0) == CONTENTS
    os.close(received)


def test_that_there_is_no_keymap_reaches_the_client(objects: Objects) -> None:
    nothing = os.open("/dev/null", os.O_RDONLY)
    received = objects.tell("wl_keyboard", "keymap", nothing)
    assert os.pread(received, 100, 0) == b"\0"
    os.close(received)
    os.close(nothing)


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.PIPE, Direction.REQUEST))
def test_what_the_compositor_writes_reaches_the_client(interface: str, name: str, objects: Objects) -> None:
    reading, writing = os.pipe()
    objects.send(interface, name, writing)
    os.close(writing)
    received = objects.received(name)
    os.write(received, CONTENTS)
    os.close(received)
    assert read_all(reading) == CONTENTS


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.PIPE, Direction.EVENT))
def test_what_the_client_writes_reaches_the_compositor(interface: str, name: str, objects: Objects) -> None:
    reading, writing = os.pipe()
    received = objects.tell(interface, name, writing)
    os.close(writing)
    os.write(received, CONTENTS)
    os.close(received)
    assert read_all(reading) == CONTENTS


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.FENCE, Direction.EVENT))
def test_a_fence_of_the_compositor_reaches_the_client(interface: str, name: str, objects: Objects) -> None:
    fence = os.eventfd(0)
    received = objects.tell(interface, name, fence)
    os.eventfd_write(fence, 7)
    assert os.eventfd_read(received) == 7
    os.close(fence)
    os.close(received)


@pytest.mark.parametrize(("interface", "name"), carried(Carriage.FENCE, Direction.REQUEST))
def test_what_is_no_fence_does_not_reach_the_compositor(
    interface: str, name: str, objects: Objects, file: int
) -> None:
    objects.get(interface)
    with pytest.raises(ProtocolError, match="no fence"):
        objects.send(interface, name, file)


def test_a_pool_of_the_client_reaches_the_compositor(objects: Objects, file: int) -> None:
    pool = objects.get("wl_shm").proxy.create("create_pool", file, len(CONTENTS))
    pool.create("create_buffer", 0, 4, 4, 16, 0)
    objects.round_trip()
    received = objects.received("create_pool")
    assert os.fstat(received).st_size >= len(CONTENTS)
    os.close(received)
