"""Which objects belong to which surface."""

from collections.abc import Iterator
from typing import Final, cast

from crossdomain.wire import Record, Walker
from crossdomain.wire.codec import encode_message
from crossdomain.wire.tables import ArgumentKind, Message
from launcher.relay.families import EXTENDING, Families
from tests.unit.launcher.fake_channel import TABLES

NO_EXTENSION: Final = {"wl_surface", "wl_buffer", "wp_image_description_v1"}
"""Objects with a life of their own."""


def extended(message: Message) -> Iterator[str]:
    """The interfaces with requests of the objects that a request makes."""
    for argument in message.arguments:
        interface = argument.interface
        made = argument.kind is ArgumentKind.NEW_ID and interface is not None
        if made and interface not in NO_EXTENSION and TABLES.interface(str(interface)).requests:
            yield str(interface)


def takes(message: Message, interfaces: set[str]) -> bool:
    """Whether a request names an object of one of these interfaces."""
    named = {a.interface for a in message.arguments if a.kind is ArgumentKind.OBJECT}
    return not named.isdisjoint(interfaces)


def find() -> set[tuple[str, str]]:
    """The requests that make an object of a surface, directly or of an object of one."""
    found: set[tuple[str, str]] = set()
    extensions = {"wl_surface"}
    size = 0
    while size != len(extensions):
        size = len(extensions)
        for name in TABLES.names():
            for message in TABLES.interface(name).requests:
                made = set(extended(message))
                if made and (name in extensions or takes(message, extensions)):
                    found.add((name, message.name))
                    extensions |= made
    return found


def test_every_request_that_extends_a_surface_is_known() -> None:
    assert sorted(EXTENDING) == sorted(find())


class Objects:
    """What a walker knows of a client's objects."""

    def __init__(self) -> None:
        self.interfaces: dict[int, int] = {}

    def interface_of(self, object_id: int) -> int | None:
        return self.interfaces.get(object_id)


class FamiliesRig:
    """A client whose requests are noted as they come; 3 is its wl_subcompositor, 4 its wp_viewporter."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.add(3, "wl_subcompositor")
        self.add(4, "wp_viewporter")
        self.families = Families(TABLES, cast(Walker, self.objects))

    def add(self, object_id: int, interface: str) -> None:
        """An object is there from now on."""
        self.objects.interfaces[object_id] = TABLES.index(interface)

    def request(self, object_id: int, name: str, *values: int) -> None:
        """The client sends a request."""
        index = self.objects.interfaces[object_id]
        requests = TABLES.at(index).requests
        message = next(message for message in requests if message.name == name)
        data = encode_message(message, object_id, *values)
        record = Record(0, len(data), object_id, index, requests.index(message), 0, 0)
        self.families.note(record, memoryview(data))

    def add_viewport(self, viewport: int, surface: int) -> None:
        """A surface with a viewport."""
        self.add(surface, "wl_surface")
        self.add(viewport, "wp_viewport")
        self.request(4, "get_viewport", viewport, surface)


def test_objects_that_are_gone_are_not_remembered_for_ever() -> None:
    rig = FamiliesRig()
    rig.add_viewport(10, 11)
    for number in range(1000, 21000, 2):
        rig.add_viewport(number, number + 1)
        del rig.objects.interfaces[number], rig.objects.interfaces[number + 1]
    for number in range(1000, 21000, 2):
        rig.add(number, "wp_viewport")
    assert len([number for number in range(1000, 21000, 2) if rig.families.surfaces_of(number)]) <= 256
    assert rig.families.surfaces_of(10) == (11,)


def test_a_subsurface_is_one_until_its_end_is_told_of() -> None:
    """A batch is walked before its messages are looked at: objects may be gone by then."""
    rig = FamiliesRig()
    rig.add(20, "wl_surface")
    rig.add(21, "wl_surface")
    rig.add(22, "wl_subsurface")
    rig.request(3, "get_subsurface", 22, 21, 20)
    subsurface = rig.objects.interfaces.pop(22)
    for number in range(1000, 3000, 2):
        rig.add_viewport(number, number + 1)
        del rig.objects.interfaces[number], rig.objects.interfaces[number + 1]
    assert rig.families.root_of(21) == 20
    rig.objects.interfaces[22] = subsurface
    rig.request(22, "destroy")
    assert rig.families.root_of(21) == 21


class SubsurfaceRig(FamiliesRig):
    """20 is a surface, and 21 one on it by the wl_subsurface 22."""

    def __init__(self) -> None:
        super().__init__()
        self.add(20, "wl_surface")
        self.add(21, "wl_surface")
        self.add_subsurface(22, 21, 20)

    def add_subsurface(self, subsurface: int, child: int, parent: int) -> None:
        """A surface is on another one from now on."""
        self.add(subsurface, "wl_subsurface")
        self.request(3, "get_subsurface", subsurface, child, parent)


def test_a_surface_that_ends_before_its_subsurface_leaves_nothing_to_the_next_with_its_id() -> None:
    rig = SubsurfaceRig()
    rig.request(21, "destroy")
    assert rig.families.root_of(21) == 21
    rig.add(23, "wl_surface")
    rig.add_subsurface(24, 21, 23)
    rig.request(22, "destroy")
    assert rig.families.root_of(21) == 23
    assert rig.families.surfaces_of(22) == ()


def test_a_surface_that_ends_before_those_on_it_leaves_nothing_to_the_next_with_its_id() -> None:
    rig = SubsurfaceRig()
    rig.request(20, "destroy")
    rig.request(22, "set_sync")
    assert rig.families.root_of(21) == 21
