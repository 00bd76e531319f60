"""What a client sees of wl_registry."""

import pytest

from crossdomain.limits import MAX_REMOVED_GLOBALS
from crossdomain.wire.codec import decode_arguments, encode_message
from crossdomain.wire.faults import DisplayError, WireFault
from crossdomain.wire.policy import Policy, Rule, Treatment
from crossdomain.wire.registry import RegistryFilter
from crossdomain.wire.tables import load

REGISTRY = load().interface("wl_registry")
GLOBAL, GLOBAL_REMOVE = REGISTRY.events
(BIND,) = REGISTRY.requests
REGISTRY_ID = 2


def announce(name: int, interface: str, version: int) -> bytes:
    return encode_message(GLOBAL, REGISTRY_ID, name, interface, version)


def removal(name: int) -> bytes:
    return encode_message(GLOBAL_REMOVE, REGISTRY_ID, name)


def bind(name: int, interface: str, version: int) -> bytes:
    return encode_message(BIND, REGISTRY_ID, name, interface, version, 5)


@pytest.fixture
def registry() -> RegistryFilter:
    """A filter that lets seats pass up to version 5."""
    rules = {"wl_seat": Rule(5, Treatment.TRANSLATE, "-"), "wl_secret": Rule(0, Treatment.HIDE, "-")}
    return RegistryFilter(Policy(rules, {}))


def test_a_global_passes_as_it_came(registry: RegistryFilter) -> None:
    event = announce(1, "wl_seat", 5)
    assert registry.handle_global(memoryview(event)) == event
    registry.check_bind(bind(1, "wl_seat", 5))
    registry.check_bind(bind(1, "wl_seat", 1))


def test_a_newer_version_is_capped(registry: RegistryFilter) -> None:
    capped = registry.handle_global(announce(1, "wl_seat", 9))
    assert capped is not None
    assert decode_arguments(GLOBAL, capped) == (1, "wl_seat", 5)
    with pytest.raises(WireFault, match="invalid version for global wl_seat"):
        registry.check_bind(bind(1, "wl_seat", 6))


@pytest.mark.parametrize("interface", ["wl_secret", "wl_unheard_of", "wl_seat\udcff"])
def test_a_hidden_global_can_neither_be_seen_nor_bound(registry: RegistryFilter, interface: str) -> None:
    assert registry.handle_global(announce(1, interface, 1)) is None
    assert registry.handle_global_remove(removal(1)) is None
    with pytest.raises(WireFault, match="invalid global") as caught:
        registry.check_bind(bind(1, interface, 1))
    assert (caught.value.object_id, caught.value.code) == (REGISTRY_ID, DisplayError.INVALID_OBJECT)


@pytest.mark.parametrize(
    "request_", [bind(2, "wl_seat", 1), bind(1, "wl_secret", 1), bind(1, "wl_seat", 0), bind(1, "wl_seat", 2)]
)
def test_a_bind_that_does_not_match_what_was_announced_is_refused(
    registry: RegistryFilter, request_: bytes
) -> None:
    registry.handle_global(announce(1, "wl_seat", 1))
    with pytest.raises(WireFault):
        registry.check_bind(request_)


def test_a_client_may_bind_what_it_does_not_know_to_be_removed(registry: RegistryFilter) -> None:
    registry.handle_global(announce(1, "wl_seat", 5))
    assert registry.handle_global_remove(removal(1)) == removal(1)
    registry.check_bind(bind(1, "wl_seat", 5))


def test_every_registry_of_the_client_is_told_of_a_removal(registry: RegistryFilter) -> None:
    for _ in range(2):
        registry.handle_global(announce(1, "wl_seat", 5))
    for _ in range(2):
        assert registry.handle_global_remove(removal(1)) == removal(1)


def test_only_so_many_removed_globals_are_remembered(registry: RegistryFilter) -> None:
    for name in range(MAX_REMOVED_GLOBALS + 1):
        registry.handle_global(announce(name, "wl_seat", 5))
        registry.handle_global_remove(removal(name))
    registry.check_bind(bind(1, "wl_seat", 5))
    with pytest.raises(WireFault, match="invalid global"):
        registry.check_bind(bind(0, "wl_seat", 5))


def test_what_a_guest_calls_an_interface_is_cut_in_the_fault(registry: RegistryFilter) -> None:
    with pytest.raises(WireFault) as caught:
        registry.check_bind(bind(1, "x" * 10_000, 1))
    assert len(caught.value.text) < 120
