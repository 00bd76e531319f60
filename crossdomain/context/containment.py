"""Where a mistake of ours ends: at the client that it shows at.

`Context` does all that it does for its client inside of one of these.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from crossdomain.context.peer import Peer
from crossdomain.errors import GuestFault, HostFault, LocalError

_NO_MISTAKES: Final = (GuestFault, HostFault, OSError)


class Containment:
    """That of one client, to be entered with `with`.

    An exception that is nobody's fault but ours ends the client, is told to the loop's exception handler,
    under "peer" with the client's name, and goes on as LocalError.
    """

    __slots__ = ("_hang_up", "_let_go", "_loop", "_name")

    def __init__(
        self,
        name: Peer,
        loop: asyncio.AbstractEventLoop,
        hang_up: Callable[[], None],
        let_go: Callable[[], None],
    ) -> None:
        """`hang_up` ends the client; `let_go` does where the same mistake shows again on that way."""
        self._name = name
        self._loop = loop
        self._hang_up = hang_up
        self._let_go = let_go

    def __enter__(self) -> None:
        """What follows is contained."""

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Raises LocalError where `error` is a mistake of ours."""
        if not isinstance(error, Exception) or isinstance(error, _NO_MISTAKES):
            return
        self._tell(error)
        try:
            self._hang_up()
        except Exception as another:  # noqa: BLE001  # it is told, too
            self._tell(another)
            self._let_go()
        raise LocalError("internal error") from error

    def _tell(self, mistake: Exception) -> None:
        told = {"message": "internal error", "exception": mistake, "peer": self._name}
        self._loop.call_exception_handler(told)
