"""Our own protocol definitions are those that real compositors were compiled with."""

import pytest

from crossdomain.vm.image import Image
from crossdomain.wire.tables import Message, load
from protocols.generate import own_interfaces
from tests.fakes.compiled import Compiled, read
from tests.fakes.forky import Forky

LIBRARIES = "usr/lib/x86_64-linux-gnu"
OWN = sorted(interface.name for interface in own_interfaces())


@pytest.fixture(scope="module")
def compiled(debian: Image) -> dict[str, Compiled]:
    """What wlroots (sway) and Weston were compiled with; of each interface the newest."""
    roots = {
        debian.root: ("libwlroots-0.18.so", "libweston-14.so.0"),
        Forky().root: ("libwlroots-0.20.so", "libweston-16.so.0", "weston/ivi-shell.so"),
    }
    libraries = [root / LIBRARIES / name for root, names in roots.items() for name in names]
    return {name: found for library in libraries for name, found in read(library).items()}


def shapes(messages: tuple[Message, ...]) -> list[Message]:
    """The messages without what a compiled protocol does not tell."""
    return [message._replace(destructor=False) for message in messages]


@pytest.mark.parametrize("name", OWN)
def test_an_own_definition_is_that_of_a_compositor(name: str, compiled: dict[str, Compiled]) -> None:
    ours, theirs = load().interface(name), compiled[name]
    assert ours.version == theirs.version
    assert shapes(ours.requests) == list(theirs.requests)
    assert shapes(ours.events) == list(theirs.events)
