"""Which pages of one VM the compositor reads in place, and the dmabufs for that.

A compositor tells its formats and modifiers, but nobody tells beforehand which strides, offsets and sizes
its GPU takes, so each kind of image is tried once, with pages of the very first that comes, on a connection
of our own (`trial`).
"""

import asyncio
import errno
import logging
import os
import socket
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from crossdomain.abi.pages import Verdict
from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_LINEAR
from crossdomain.bridge.udmabuf import Span
from crossdomain.context.compositor import close_all
from crossdomain.context.ports import DmabufMaker, Image
from crossdomain.errors import HostFault
from crossdomain.host.security_context import ANSWER_SECONDS
from crossdomain.host.trial import Trial
from crossdomain.limits import MAX_JUDGED_IMAGES

_log = logging.getLogger("crossdomain.host")

_READ_SIZE: Final = 65536
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a machine is short of now says nothing about the next frame."""
_MAX_BROKEN: Final = 16
"""Connections that trials have cost: a compositor that ends them all takes no dmabufs."""


class GivenDmabufs:
    """Dmabufs of launchers on the same kernel: each is one already; a `context.ports.DmabufMaker`."""

    cuts = False

    def takes(self, spans: Sequence[Span], /) -> bool:
        """Whether they are one, from its first byte on."""
        return len(spans) == 1 and not spans[0].offset

    def create(self, spans: Sequence[Span], /) -> int:
        """A new fd of it."""
        return os.dup(spans[0].fd)


class Showing:
    """One VM's; a `context.ports.Showing`."""

    def __init__(self, maker: DmabufMaker, connect: Callable[[], socket.socket], name: str) -> None:
        """`connect` makes a new connection to the compositor, without blocking; `maker` is the caller's."""
        self._maker = maker
        self._connect = connect
        self._name = name
        self._verdicts: OrderedDict[Image, int | None] = OrderedDict()
        """The modifier of each image that is taken."""
        self._trial = Trial()
        self._connection: socket.socket | None = None
        self._listener: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._broken = 0
        self._distrusted = False

    @property
    def cuts(self) -> bool:
        """See `context.ports.Showing`."""
        return self._maker.cuts

    def judge(self, image: Image, memories: Sequence[Sequence[Span]], /) -> Verdict:
        """See `context.ports.Showing`."""
        if self._distrusted or self._broken > _MAX_BROKEN or not all(map(self._maker.takes, memories)):
            return Verdict.NO
        if image in self._verdicts:
            self._verdicts.move_to_end(image)
            return Verdict.NO if self._verdicts[image] is None else Verdict.YES
        if self._task is not None:
            return Verdict.ASKING
        try:
            fds = self._create_all(memories)
        except OSError as error:
            if error.errno in _PASSING:
                return Verdict.ASKING
            _log.warning("%s: no dmabuf of its pages: %s", self._name, error.strerror)
            self._distrusted = True
            return Verdict.NO
        self._task = asyncio.get_running_loop().create_task(self._try(image, fds))
        return Verdict.ASKING

    def _create_all(self, memories: Sequence[Sequence[Span]]) -> list[int]:
        fds: list[int] = []
        try:
            for spans in memories:
                fds.append(self.create_dmabuf(spans))
        except OSError:
            close_all(fds)
            raise
        return fds

    def create_dmabuf(self, spans: Sequence[Span], /) -> int:
        """See `context.ports.Showing`."""
        return self._maker.create(spans)

    def modifier(self, image: Image, /) -> int:
        """See `context.ports.Showing`."""
        return self._verdicts.get(image) or DRM_FORMAT_MOD_LINEAR

    def distrust(self) -> None:
        """See `context.ports.Showing`."""
        _log.warning("%s: the compositor ended a client for a dmabuf: from now on all is copied", self._name)
        self._distrusted = True

    def close(self) -> None:
        """Tries nothing any more.  May be called again."""
        if self._task is not None:
            self._task.cancel()
        self._hang_up()

    async def _try(self, image: Image, dmabufs: list[int]) -> None:
        """Finds out about an image; owns `dmabufs`."""
        try:
            if self._open():
                self._remember(image, await self._ask(image, dmabufs))
        except (HostFault, TimeoutError, OSError) as error:
            self._break(error)
            self._remember(image, None)
        finally:
            close_all(dmabufs)
            self._task = None

    def _open(self) -> bool:
        """Whether there is a connection: not where too many clients connect at once, until the next frame."""
        if self._connection is not None:
            return True
        try:
            connection = self._connect()
        except BlockingIOError:
            return False
        connection.setblocking(False)
        self._connection = connection
        self._trial = Trial()
        self._listener = asyncio.get_running_loop().create_task(self._listen(connection, self._trial))
        self._send(self._trial.first())
        return True

    def _remember(self, image: Image, modifier: int | None) -> None:
        _log.debug("%s: %r: %s", self._name, image, "not taken" if modifier is None else "read in place")
        self._verdicts[image] = modifier
        if len(self._verdicts) > MAX_JUDGED_IMAGES:
            self._verdicts.popitem(last=False)

    async def _ask(self, image: Image, dmabufs: Sequence[int]) -> int | None:
        """The modifier by which the compositor takes it, if it does."""
        trial = self._trial
        await self._until(lambda: trial.listed)
        if not trial.takes_dmabufs:
            return None
        if not trial.told:
            self._send(trial.bind())
            await self._until(lambda: trial.told)
        modifier = trial.modifiers.get(image.format)
        if modifier is None:
            return None
        self._send(trial.ask(image), [dmabufs[plane.memory] for plane in image.planes])
        await self._until(lambda: trial.verdict is not None)
        self._send(trial.end())
        return modifier if trial.verdict else None

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Each answer has its time: a compositor that draws slowly gives it between two pictures."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not condition():
                if self._connection is None:
                    raise HostFault("the compositor hung up")
                self._heard.clear()
                await self._heard.wait()

    async def _listen(self, connection: socket.socket, trial: Trial) -> None:
        """Reads until the compositor ends the connection: what it says of images is void then."""
        try:
            while data := await asyncio.get_running_loop().sock_recv(connection, _READ_SIZE):
                trial.receive(data)
                self._heard.set()
        except (HostFault, OSError) as error:
            _log.info("%s: the trial of dmabufs ended: %s", self._name, error)
        if self._connection is connection:
            self._hang_up()

    def _break(self, error: Exception) -> None:
        _log.info("%s: a dmabuf was not taken: %s", self._name, error or "no answer")
        self._broken += 1
        self._hang_up()

    def _send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Some hundred bytes into an empty socket: they fit, or the compositor is not worth waiting for."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        if self._connection is None:
            raise HostFault("the compositor hung up")
        if self._connection.sendmsg([data], ancillary, socket.MSG_NOSIGNAL) != len(data):
            raise HostFault("the compositor does not read")

    def _hang_up(self) -> None:
        if self._listener is not None and self._listener is not asyncio.current_task():
            self._listener.cancel()
        self._listener = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._verdicts.clear()
        self._heard.set()
