"""A mistake of ours costs one client of a VM: its device and the other clients go on."""

from typing import Final, NoReturn

from crossdomain.abi.cross_domain import encode_send
from crossdomain.abi.pages import KEY_SIZE, RECTANGLE, CopyPages, encode_copy_pages
from tests.conftest import Mistakes
from tests.unit.context.world import FakeMemoryDevice, delete_id, sync
from tests.unit.device.machine import Machine, both_ways, hear_out, run

_COPY: Final = encode_copy_pages(
    CopyPages(1, 7, bytes(KEY_SIZE), 0, 0, 64, 64, 4, RECTANGLE.pack(0, 0, 1, 1))
)


class Mistake(Exception):
    """What nobody has thought of."""


def _fail(_resource_id: int) -> NoReturn:
    raise Mistake


@both_ways
def test_a_mistake_at_a_command_costs_its_client_alone(ports: bool, mistakes: Mistakes) -> None:
    async def story(machine: Machine) -> None:
        machine.memory = FakeMemoryDevice(_fail)
        victim, _ = await machine.open(1)
        other, compositor = await machine.open(2)
        assert not (await victim.submit(_COPY)).ok
        assert b"internal error" in await hear_out(victim)
        await machine.compositors[0].wait_until_gone()
        assert (await other.send(sync(6))).ok
        assert await compositor.receive(len(sync(6))) == sync(6)
        compositor.send(delete_id(6))
        assert bytes((await other.next_event()).data) == delete_id(6)

    run(story, ports=ports)
    (told,) = mistakes.take()
    assert "vm test, ctx 1, 'client'" in told


@both_ways
def test_a_poll_that_comes_with_a_mistake_is_answered(ports: bool, mistakes: Mistakes) -> None:
    async def story(machine: Machine) -> None:
        machine.memory = FakeMemoryDevice(_fail)
        victim, _ = await machine.open(1)
        await victim.share_ring()
        victim.poll(_COPY, encode_send(sync(6)))
        assert b"internal error" in await hear_out(victim)

    run(story, ports=ports)
    assert len(mistakes.take()) == 1
