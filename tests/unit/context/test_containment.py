"""A mistake of ours costs the client that it shows at, which is told where it can be."""

import socket
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest

from crossdomain.abi.cross_domain import CHANNEL_RING, Identifier, IdentifierType, encode_send
from crossdomain.errors import LocalError
from tests.conftest import Mistakes
from tests.unit.context.world import CHANNEL_RING_ID, World, delete_id, sync, until

WHO = "vm test, ctx 1, 'client'"


class Mistake(Exception):
    """What nobody has thought of."""


class Mistaken:
    """A resource that can't be used without one."""

    size = 1 << 16

    def export(self) -> NoReturn:
        """Never."""
        raise Mistake

    def pixels(self) -> NoReturn:
        """Never."""
        raise Mistake

    def read(self, _offset: int, _length: int, /) -> NoReturn:
        """Never."""
        raise Mistake

    def write(self, _offset: int, _data: object, /) -> NoReturn:
        """Never."""
        raise Mistake


def send_mistaken(client: World) -> None:
    """A SEND with it."""
    client.resources.attached[5] = Mistaken()
    blob = Identifier(5, IdentifierType.VIRTGPU_BLOB, 4096)
    with pytest.raises(LocalError):
        client.context.submit(encode_send(sync(2), (blob,)))


async def test_a_mistake_at_a_command_ends_its_client(client: World, mistakes: Mistakes) -> None:
    send_mistaken(client)
    assert b"internal error" in await client.receive_data()
    assert await client.receive_data() == b""
    await client.host.wait_until_gone()
    assert not client.context.alive
    (told,) = mistakes.take()
    assert WHO in told
    assert "Mistake" in told
    client.context.submit(encode_send(sync(3)))  # which nobody hears


async def test_a_mistake_at_an_event_ends_its_client_in_silence_where_it_cannot_be_told(
    client: World, mistakes: Mistakes
) -> None:
    answered: list[int] = []
    for number in range(3):
        client.context.create_fence(CHANNEL_RING, partial(answered.append, number))
    client.resources.attached[CHANNEL_RING_ID] = Mistaken()
    client.host.send(delete_id(2))
    await client.host.wait_until_gone()
    assert answered == [0, 1, 2]
    assert all(WHO in told for told in mistakes.take())
    client.context.create_fence(CHANNEL_RING, lambda: answered.append(3))
    assert not mistakes.take(), "it shows no more"


async def test_a_mistake_after_its_client_is_over_leaves_it_so(client: World, mistakes: Mistakes) -> None:
    client.host.close()
    await until(lambda: not client.context.alive)
    client.resources.attached[CHANNEL_RING_ID] = Mistaken()
    answered: list[bool] = []
    client.context.create_fence(CHANNEL_RING, lambda: answered.append(True))
    assert answered
    assert len(mistakes.take()) == 1


async def test_a_mistake_while_connecting_ends_its_client(world: World, mistakes: Mistakes) -> None:
    steps: list[Callable[[], socket.socket]] = [_fail(BlockingIOError()), _fail(Mistake())]
    world.connect = lambda: steps.pop(0)()  # noqa: PLW0108  # one after the other
    world.init()
    world.context.retry_connect()
    assert b"internal error" in await world.receive_data()
    (told,) = mistakes.take()
    assert WHO in told


def _fail(error: Exception) -> Callable[[], socket.socket]:
    def fail() -> NoReturn:
        raise error

    return fail
