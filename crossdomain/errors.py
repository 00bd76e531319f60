"""Whose fault an error is, as a type.

Every error that this project raises on purpose is a `CrossDomainError`.  The type
names the guilty side, because that decides the consequence: a guest's fault costs
that guest's client, a host's fault costs the connection to that host part, and a
missing part of the environment ends the command with one line that says what to do.
"""


class CrossDomainError(Exception):
    """Base of all errors raised on purpose."""


class GuestFault(CrossDomainError):
    """The guest, or one of its clients, sent something that it must not send."""


class LimitExceeded(GuestFault):
    """The guest asked for more than `crossdomain.limits` grants."""


class HostFault(CrossDomainError):
    """The compositor or the VMM broke its protocol, or went away."""


class LocalError(CrossDomainError):
    """Code of this project was called against its contract."""


class EnvironmentFault(CrossDomainError):
    """Something that the machine should provide is missing.

    `hint` says what the person at the keyboard can do about it.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
