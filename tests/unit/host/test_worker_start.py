"""Workers that do not come about leave nothing."""

import errno
import os
from pathlib import Path

import pytest

from crossdomain.context.peer import Peer
from crossdomain.host.settings import Settings
from tests.unit.host.started import start_worker


async def test_a_worker_that_cannot_be_watched_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[int] = []

    def refuse(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        start_worker("vm", Peer.of_vm("vm"), Settings(), tmp_path / "none", lambda: None)

    with pytest.raises(ChildProcessError):
        os.waitpid(started[0], 0)
