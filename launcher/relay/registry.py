"""What the client sees of wl_registry: the policy's globals, and nothing that can't be carried."""

from crossdomain.abi.cross_domain import Identifier
from crossdomain.wire import Record
from crossdomain.wire.policy import Policy
from crossdomain.wire.registry import RegistryFilter
from launcher.relay.messages import DROP_EVENT, EventHandler, RequestHandler, Route, ToClient, ToHost


class Registry:
    """One client's view; a `messages.Part`."""

    def __init__(self, policy: Policy) -> None:
        self._filter = RegistryFilter(policy)

    def request_routes(self) -> dict[Route, RequestHandler]:
        """See `messages.Part`."""
        return {("wl_registry", "bind"): self._handle_bind}

    def event_routes(self) -> dict[Route, EventHandler]:
        """See `messages.Part`."""
        return {
            ("wl_registry", "global"): self._handle_global,
            ("wl_registry", "global_remove"): self._handle_global_remove,
        }

    def _handle_bind(self, record: Record, data: memoryview, _fds: list[int]) -> ToHost | None:
        self._filter.check_bind(_message(record, data))
        return None

    def _handle_global(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        return _answer(self._filter.handle_global(_message(record, data)))

    def _handle_global_remove(
        self, record: Record, data: memoryview, _identifiers: list[Identifier]
    ) -> ToClient | None:
        return _answer(self._filter.handle_global_remove(_message(record, data)))


def _message(record: Record, data: memoryview) -> memoryview:
    return data[record.offset : record.offset + record.size]


def _answer(event: bytes | None) -> ToClient:
    return DROP_EVENT if event is None else ToClient(event)
