"""One line of a worker's log, taken apart as a stranger's and put together as the supervisor's own.

A worker writes its lines as JSON (`logs.report_to_supervisor`).  Which VM a line is about, and when it was
written, the supervisor knows itself: what a worker writes that its guest has taken over has the label of that
VM before it.
"""

import json
import logging
import re
from typing import Final, NamedTuple, cast

from crossdomain.context.peer import Peer
from crossdomain.limits import MAX_TEXT

_LOGGER: Final = re.compile(r"[A-Za-z_][\w.]{0,79}", re.ASCII)
_LEVELS: Final = {
    logging.getLevelName(level).lower(): level
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
}


class _Told(NamedTuple):
    """What a worker says with one line."""

    level: int
    logger: str
    message: str
    context: int | None
    client: str | None
    exception: str | None


def record_of(label: Peer, line: str) -> logging.LogRecord:
    """What the supervisor logs for a line of the worker of that label; it steers no terminal.

    A line that is none of our log's, as the last words of an interpreter that crashes, is that VM's error.
    """
    told = _parse(line) or _Told(logging.ERROR, "crossdomain.worker", line, None, None, None)
    message = _harmless(told.message)
    is_labelled = message.startswith((f"{label},", f"{label}:"))
    peer = Peer(label)
    peer.vm, peer.context, peer.client = label.vm, told.context, told.client
    rest = message[len(label) :] if is_labelled else f": {message}"
    record = logging.LogRecord(told.logger, told.level, "", 0, "%s%s", (peer, rest), None)
    if told.exception is not None:
        record.exc_text = "\n".join(f"{label} | {_harmless(part)}" for part in told.exception.split("\n"))
    return record


def _parse(line: str) -> _Told | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    fields = cast("dict[str, object]", told)
    level, logger, message = fields.get("level"), fields.get("logger"), fields.get("message")
    if not (isinstance(level, str) and isinstance(logger, str) and isinstance(message, str)):
        return None
    if level not in _LEVELS or _LOGGER.fullmatch(logger) is None:
        return None
    context, client, exception = fields.get("context"), fields.get("client"), fields.get("exception")
    return _Told(
        _LEVELS[level],
        logger,
        message,
        context if type(context) is int else None,
        _harmless(client[:MAX_TEXT]) if isinstance(client, str) else None,
        exception if isinstance(exception, str) else None,
    )


def _harmless(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
