"""One VM's way to the compositor: through a security context of its own where there are any."""

import asyncio
import errno
import logging
import os
import socket
from enum import Enum
from typing import TypeAlias

from crossdomain.errors import HostFault
from crossdomain.host.compositor import Compositor
from crossdomain.host.security_context import Identity, SecurityContext, open_context

_log = logging.getLogger("crossdomain.host")

_Place: TypeAlias = tuple[int, int, int]
"""The compositor's socket: another compositor has another one."""


class Enclosing(Enum):
    """Whether a VM's clients come in by a security context."""

    AUTO = "auto"
    """Where the compositor makes them."""
    REQUIRE = "require"
    """Or not at all."""
    OFF = "off"


class Enclosure:
    """Connects one VM's clients.

    A context is made when it is first needed, and again when the compositor was replaced.  What is
    refused or not answered is no reason to go without: then nobody gets in, and the next client tries again.
    """

    def __init__(self, compositor: Compositor, identity: Identity, mode: Enclosing) -> None:
        """Begins to make the context, where `mode` asks for one."""
        self.mode = mode
        self._compositor = compositor
        self._identity = identity
        self._context: SecurityContext | None = None
        self._lacking: _Place | None = None
        self._failure: OSError | None = None
        self._awaited = False
        """Whether a client waits for what is being made: who comes later does not hear of its failure."""
        self._opening: asyncio.Task[None] | None = None
        if mode is not Enclosing.OFF:
            self._open()

    def connect(self) -> socket.socket:
        """A new connection, made without blocking.

        Raises:
            BlockingIOError: the context is being made, or too many clients connect at once; try again.
            OSError: there is no compositor, or none with what is required.
        """
        if self.mode is Enclosing.OFF:
            return self._compositor.connect()
        if self._context is not None:
            try:
                return self._context.connect()
            except ConnectionRefusedError:
                self._context.close()
                self._context = None
        if self._lacking is not None and self._lacking == self._place():
            if self.mode is Enclosing.AUTO:
                return self._compositor.connect()
            raise OSError(errno.EPERM, "it has no wp_security_context_manager_v1, which the settings require")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self._open()
        self._awaited = True
        raise BlockingIOError

    def close(self) -> None:
        """Lets nobody in any more.  May be called again."""
        if self._opening is not None:
            self._opening.cancel()
        if self._context is not None:
            self._context.close()
            self._context = None

    def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._make())

    async def _make(self) -> None:
        try:
            place = self._place()
            self._context = await open_context(self._compositor.connect(), self._identity)
            self._lacking = place if self._context is None else None
        except BlockingIOError:
            pass  # the next client tries again
        except TimeoutError:
            self._fail(OSError(errno.ETIMEDOUT, "it does not answer"))
        except HostFault as fault:
            self._fail(OSError(errno.EPROTO, str(fault)))
        except OSError as error:
            self._fail(error)
        finally:
            self._opening = None
            self._awaited = False
        if self._context is not None:
            _log.info("%s: in a security context", self._identity.instance_id)

    def _fail(self, error: OSError) -> None:
        _log.warning("%s: no security context: %s", self._identity.instance_id, error.strerror or error)
        if self._awaited:
            self._failure = error

    def _place(self) -> _Place | None:
        try:
            status = os.stat(self._compositor.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_ctime_ns
