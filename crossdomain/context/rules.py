"""What the host's configuration says about one VM, as far as its clients' messages are concerned."""

from dataclasses import dataclass
from typing import Final

UNCHANGED_TITLE: Final = "{title}"
UNCHANGED_APP_ID: Final = "{app_id}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The defaults change nothing."""

    title: str = UNCHANGED_TITLE
    """What a window's title becomes: {vm} and {title} are replaced."""
    app_id: str = UNCHANGED_APP_ID
    """What an app id becomes: {vm} and {app_id} are replaced."""


class Guest:
    """One VM, or all local clients: what the policies of its clients share.

    `rules` may be replaced at any time: the new ones hold for what is decided from then on.
    """

    def __init__(self, name: str, rules: Rules) -> None:
        """`name` is the one that the host chose."""
        self.name: Final = name
        self.rules = rules
