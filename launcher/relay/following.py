"""What follows one connection's objects: both directions of the relay share it."""

from typing import NamedTuple

from crossdomain.wire import Walker
from launcher.relay.own_objects import OwnObjects
from launcher.relay.server_ids import ServerIds
from launcher.relay.tracing import Tracer


class Following(NamedTuple):
    """One connection's; all know its objects through the same walker."""

    walker: Walker
    own: OwnObjects
    server_ids: ServerIds
    tracer: Tracer | None
    """None where no message is printed."""
