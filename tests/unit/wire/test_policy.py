"""The policy keeps what it promises: nothing that a guest may bind can surprise the relay."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from crossdomain.errors import LocalError
from crossdomain.wire import policy
from crossdomain.wire.engine import Direction, messages_of
from crossdomain.wire.policy import Carriage, Policy, Rule, Treatment
from crossdomain.wire.tables import ArgumentKind, Message, Tables
from protocols.generate import installed_interfaces, own_interfaces

NEVER_CREATED = {"wl_display"}
"""Interfaces that nobody creates, and that are no globals either."""


class Reached(NamedTuple):
    """A message that a client can send or get through a global."""

    interface: str
    direction: Direction
    message: Message


def reachable(tables: Tables, interface: str, version: int) -> Iterator[Reached]:
    """All messages of a global bound at a version and of all objects that come out of it."""
    pending, seen = [interface], {interface}
    while pending:
        name = pending.pop()
        for direction in Direction:
            for message in messages_of(tables, tables.index(name), direction):
                if message.since > version:
                    continue
                yield Reached(name, direction, message)
                created = {
                    a.interface for a in message.arguments if a.kind is ArgumentKind.NEW_ID and a.interface
                }
                pending += created - seen
                seen |= created


def carries_fds(message: Message) -> bool:
    return any(argument.kind is ArgumentKind.FD for argument in message.arguments)


def visible_rules() -> list[tuple[str, Rule]]:
    rules = policy.load().rules.items()
    return [(name, rule) for name, rule in rules if rule.treatment is not Treatment.HIDE]


def created_interfaces() -> tuple[set[str], set[str]]:
    """All interfaces that pywayland knows, and those of them that some message creates."""
    known: set[str] = set()
    created: set[str] = set()
    for _, interface in installed_interfaces():
        known.add(interface.name)
        for message in (*interface.requests, *interface.events):
            new = (a.interface for a in message.arguments if a.argument_type.name == "NewId")
            created |= {argument.name for argument in new if argument is not None}
    return known, created


def test_every_global_that_pywayland_knows_is_mentioned() -> None:
    known, created = created_interfaces()
    assert known - created - NEVER_CREATED - set(policy.load().rules) == set()


def test_every_global_of_our_own_definitions_is_mentioned(tables: Tables) -> None:
    own = [interface.name for interface in own_interfaces()]
    created = {
        argument.interface
        for name in own
        for message in (*tables.interface(name).requests, *tables.interface(name).events)
        for argument in message.arguments
        if argument.kind is ArgumentKind.NEW_ID
    }
    assert set(own) - created - set(policy.load().rules) == set()


def test_a_global_that_passes_reaches_no_message_with_an_fd(tables: Tables) -> None:
    surprises = [
        (name, *reached[:2], reached.message.name)
        for name, rule in visible_rules()
        if rule.treatment is Treatment.PASS
        for reached in reachable(tables, name, rule.version)
        if carries_fds(reached.message)
    ]
    assert surprises == []


def test_every_message_with_an_fd_that_a_guest_can_reach_is_carried(tables: Tables) -> None:
    reached_with_fds = {
        (reached.interface, reached.message.name)
        for name, rule in visible_rules()
        for reached in reachable(tables, name, rule.version)
        if carries_fds(reached.message)
    }
    assert reached_with_fds == set(policy.load().descriptors)


def test_no_visible_version_is_newer_than_the_tables(tables: Tables) -> None:
    assert [name for name, rule in visible_rules() if rule.version > tables.interface(name).version] == []
    assert [name for name, rule in visible_rules() if rule.version < 1] == []


def test_what_is_hidden_has_no_version_and_everything_a_reason() -> None:
    for rule in policy.load().rules.values():
        assert (rule.version == 0) == (rule.treatment is Treatment.HIDE)
        assert rule.reason


@pytest.mark.parametrize(
    ("interface", "offered", "visible"),
    [
        ("wl_compositor", 4, 4),
        ("wl_compositor", 99, 7),
        ("wl_fixes", 2, 1),
        ("zwp_linux_dmabuf_v1", 4, 0),
        ("some_private_protocol", 1, 0),
    ],
)
def test_versions_are_capped_and_the_unknown_is_hidden(interface: str, offered: int, visible: int) -> None:
    assert policy.load().visible_version(interface, offered) == visible


def test_a_group_is_denied_until_it_is_allowed() -> None:
    built_in = policy.load()
    assert built_in.visible_version("ext_data_control_manager_v1", 1) == 0
    allowing = built_in.with_groups(["data-control"])
    assert allowing.visible_version("ext_data_control_manager_v1", 1) == 1
    assert allowing.visible_version("ext_session_lock_manager_v1", 1) == 0
    assert allowing.visible_version("wl_compositor", 4) == 4
    assert allowing.with_groups(deny=["data-control"]).visible_version("ext_data_control_manager_v1", 1) == 0
    assert built_in.visible_version("ext_data_control_manager_v1", 1) == 0


@pytest.mark.parametrize(
    ("group", "text"),
    [("date-control", "no group 'date-control'"), ("drm-lease", "can't be allowed: hands out")],
)
def test_a_group_that_can_not_be_allowed_is_told_apart(group: str, text: str) -> None:
    with pytest.raises(LocalError, match=text):
        policy.load().with_groups([group])


def test_every_global_belongs_to_a_group() -> None:
    assert {rule.group for rule in policy.load().rules.values()} <= set(policy.load().groups)


def test_the_ways_of_fds_are_those_of_the_relay() -> None:
    assert policy.load().descriptors[("wl_keyboard", "keymap")] is Carriage.FILE
    assert policy.load() is policy.load()
    assert Policy({}, {}).visible_version("wl_compositor", 1) == 0
