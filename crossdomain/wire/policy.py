"""Which globals a guest may see, in which version, and what becomes of the fds.

The rules are written in `protocols/policy.toml`; `_policy.py` is generated from it so
that the guest's launcher needs no TOML.  The relay hides what it can't carry, and the
host enforces the same rules, because a guest can replace its launcher.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Final, NamedTuple

from crossdomain.errors import LocalError
from crossdomain.wire._policy import DESCRIPTORS, GLOBALS, GROUPS

ORDINARY: Final = "ordinary"
"""The group of what an application needs for its own windows."""


class Treatment(Enum):
    """What happens to a global's messages."""

    PASS = "pass"
    """They cross untouched."""
    TRANSLATE = "translate"
    """They cross; fds and what belongs to them are translated."""
    EMULATE = "emulate"
    """The relay serves the global itself; the compositor's own is hidden."""
    HIDE = "hide"
    """The guest does not see it."""


class Carriage(Enum):
    """What becomes of a message's fd."""

    POOL = "pool"
    """The relay keeps the guest's file and mirrors the buffers in it."""
    FILE = "file"
    """The other side gets a copy."""
    PIPE = "pipe"
    """Its bytes are moved through the channel."""
    OWN = "own"
    """The relay takes it, or makes it: the message does not cross."""
    FENCE = "fence"
    """The other side gets a fence of its own kernel, which is over when this one is."""


class Default(Enum):
    """Whether a group is allowed where nobody says anything."""

    ALLOW = "allow"
    DENY = "deny"
    NEVER = "never"
    """It can't be allowed at all."""


class Group(NamedTuple):
    """Globals that are allowed or denied together."""

    default: Default
    reason: str


class Rule(NamedTuple):
    """The policy for one global; `version` is 0 where it is hidden."""

    version: int
    treatment: Treatment
    reason: str
    group: str = ORDINARY


class Policy:
    """The rules for all globals; what it does not know, or does not allow, is hidden."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        descriptors: Mapping[tuple[str, str], Carriage],
        groups: Mapping[str, Group] | None = None,
        allowed: Iterable[str] | None = None,
    ) -> None:
        """Without `groups` there is the ordinary one alone.

        `descriptors` holds (interface, message) of every message with an fd that is carried, and
        `allowed` the names of the groups that may be seen: those with that default where it is None.
        """
        self.rules: Final = rules
        self.descriptors: Final = descriptors
        self.groups: Final = {ORDINARY: Group(Default.ALLOW, "")} if groups is None else groups
        if allowed is None:
            allowed = (name for name, group in self.groups.items() if group.default is Default.ALLOW)
        self.allowed: Final = frozenset(allowed)

    @property
    def grantable(self) -> tuple[str, ...]:
        """The names of the groups that are denied and may be allowed, sorted."""
        return tuple(sorted(name for name, group in self.groups.items() if group.default is Default.DENY))

    def with_groups(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> "Policy":
        """Returns this policy with more or fewer groups allowed; where a group is in both, it is denied.

        Raises:
            LocalError: a group that does not exist, or that can't be allowed; the text says which.
        """
        allow, deny = frozenset(allow), frozenset(deny)
        for name in sorted(allow | deny):
            if name not in self.groups:
                raise LocalError(f"there is no group {name!r}: {', '.join(sorted(self.groups))}")
        for name in sorted(allow):
            group = self.groups[name]
            if group.default is Default.NEVER:
                raise LocalError(f"the group {name!r} can't be allowed: {group.reason}")
        return Policy(self.rules, self.descriptors, self.groups, (self.allowed | allow) - deny)

    def without(self, interfaces: Iterable[str]) -> "Policy":
        """Returns the same policy, with some globals hidden."""
        hidden = set(interfaces)
        rules = {name: rule for name, rule in self.rules.items() if name not in hidden}
        return Policy(rules, self.descriptors, self.groups, self.allowed)

    def emulating(self, interfaces: Iterable[str]) -> "Policy":
        """Returns the same policy, with some globals served by the relay itself."""
        served = set(interfaces)
        rules = {
            name: rule._replace(treatment=Treatment.EMULATE) if name in served else rule
            for name, rule in self.rules.items()
        }
        return Policy(rules, self.descriptors, self.groups, self.allowed)

    def passing(self, interfaces: Iterable[str]) -> "Policy":
        """Returns the same policy, with some globals that a relay serves itself in sight as well."""
        shown = set(interfaces)
        rules = {
            name: rule._replace(treatment=Treatment.TRANSLATE) if name in shown else rule
            for name, rule in self.rules.items()
        }
        return Policy(rules, self.descriptors, self.groups, self.allowed)

    def visible_version(self, interface: str, offered: int) -> int:
        """Returns the version that a guest may see of a global that the compositor offers; 0 if none."""
        rule = self.rules.get(interface)
        if rule is None or rule.treatment is Treatment.EMULATE or rule.group not in self.allowed:
            return 0
        return min(rule.version, offered)

    def emulated_version(self, interface: str) -> int:
        """Returns the version in which the relay serves a global itself; 0 if it does not."""
        rule = self.rules.get(interface)
        if rule is None or rule.treatment is not Treatment.EMULATE or rule.group not in self.allowed:
            return 0
        return rule.version


@cache
def load() -> Policy:
    """Returns the policy that is built in, with the default groups; the same object every time."""
    rules = {
        name: Rule(version, Treatment(kind), reason, group) for name, version, kind, reason, group in GLOBALS
    }
    descriptors = {(interface, message): Carriage(kind) for interface, message, kind in DESCRIPTORS}
    groups = {name: Group(Default(default), reason) for name, default, reason in GROUPS}
    return Policy(rules, descriptors, groups)
