"""Which globals a guest may see, in which version, and what becomes of the fds.

The rules are written in `protocols/policy.toml`; `_policy.py` is generated from it so
that the guest's launcher needs no TOML.  The relay hides what it can't carry, and the
host enforces the same rules, because a guest can replace its launcher.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Final, NamedTuple

from crossdomain.wire._policy import DESCRIPTORS, GLOBALS


class Treatment(Enum):
    """What happens to a global's messages."""

    PASS = "pass"
    """They cross untouched."""
    TRANSLATE = "translate"
    """They cross; fds and what belongs to them are translated."""
    EMULATE = "emulate"
    """The relay serves the global itself."""
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


class Rule(NamedTuple):
    """The policy for one global; `version` is 0 where it is hidden."""

    version: int
    treatment: Treatment
    reason: str


class Policy:
    """The rules for all globals; what it does not know is hidden."""

    def __init__(self, rules: Mapping[str, Rule], descriptors: Mapping[tuple[str, str], Carriage]) -> None:
        """`descriptors` holds (interface, message) of every message with an fd that is carried."""
        self.rules: Final = rules
        self.descriptors: Final = descriptors

    def visible_version(self, interface: str, offered: int) -> int:
        """Returns the version that a guest may see of a global that is offered; 0 if none."""
        rule = self.rules.get(interface)
        return 0 if rule is None else min(rule.version, offered)


@cache
def load() -> Policy:
    """Returns the policy that is built in; the same object every time."""
    rules = {name: Rule(version, Treatment(kind), reason) for name, version, kind, reason in GLOBALS}
    descriptors = {(interface, message): Carriage(kind) for interface, message, kind in DESCRIPTORS}
    return Policy(rules, descriptors)
