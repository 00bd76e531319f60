"""The daemon's log: standard error, as text or JSON, with a peer's complaints limited.

A line about a peer has the peer as its first argument, "vm NAME, ctx 3, 'foot'": what
precedes the first comma is who pays for it.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from crossdomain.context.peer import Peer

BURST: Final = 50
"""Lines about one peer that are written at once."""
PER_SECOND: Final = 2.0
"""Lines about one peer that are written in the long run: a guest must not fill the host's disk."""
_MAX_PEERS: Final = 1024
"""Peers that are remembered; a peer beyond starts with a full burst."""


class _Budget:
    """What one peer may still have written."""

    __slots__ = ("suppressed", "tokens", "updated")

    def __init__(self, now: float) -> None:
        self.tokens = float(BURST)
        self.updated = now
        self.suppressed = 0


class PeerLimit(logging.Filter):
    """Lets each peer have BURST lines and PER_SECOND after that, and says what it left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._budgets: dict[str, _Budget] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.levelno != logging.WARNING or not isinstance(record.args, tuple) or not record.args:
            return True
        budget = self._budget(str(record.args[0]).partition(",")[0])
        if budget.tokens < 1:
            budget.suppressed += 1
            return False
        budget.tokens -= 1
        if budget.suppressed:
            record.msg = f"{record.msg} (and {budget.suppressed} lines like it left out)"
            budget.suppressed = 0
        return True

    def _budget(self, peer: str) -> _Budget:
        now = self._clock()
        budget = self._budgets.get(peer)
        if budget is None:
            if len(self._budgets) >= _MAX_PEERS:
                self._budgets.clear()
            budget = self._budgets[peer] = _Budget(now)
        budget.tokens = min(BURST, budget.tokens + (now - budget.updated) * PER_SECOND)
        budget.updated = now
        return budget


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a line about a peer says its VM, and which of its clients, apart."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        peer = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(peer, Peer):
            line |= {"vm": peer.vm, "context": peer.context, "client": peer.client}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps({key: value for key, value in line.items() if value is not None})


def set_up(level: str, form: str = "text") -> None:
    """Logs to standard error from `level` (a name of logging's) on, as "text" or as "json"."""
    handler = logging.StreamHandler()
    as_text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else as_text)
    handler.addFilter(PeerLimit())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def report_to_supervisor() -> None:
    """In a worker: lines say their parts apart, for the supervisor to put together (`worker_lines`)."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())
