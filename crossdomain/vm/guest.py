"""The host's end of the agent's line: programs of the guest as objects of asyncio.

`AgentLink` moves frames (see `frames`), `GuestProcess` is one program.  Nothing here knows how the
machine came to be; see `machine` for that.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crossdomain.errors import CrossDomainError, HostFault
from crossdomain.vm import frames


class StartFailed(CrossDomainError):
    """The guest could not start a program; `code` is the errno."""

    def __init__(self, name: str, code: int, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.code = code


class Completed(NamedTuple):
    """A program that ended: its exit status (128 + signal where it was killed) and what it wrote."""

    status: int
    output: bytes
    errors: bytes


class _Flow(asyncio.ReadTransport):
    """What a `StreamReader` calls to slow its source: credits are held back while it is full."""

    def __init__(self, link: "AgentLink", process: int, kind: int) -> None:
        super().__init__()
        self._link = link
        self._process = process
        self._kind = kind
        self._paused = False
        self._owed = 0

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self.credit(0)

    def credit(self, count: int) -> None:
        self._owed += count
        if self._owed and not self._paused:
            self._link.send(frames.CREDIT_OUTPUT, self._process, frames.COUNT.pack(self._kind, self._owed))
            self._owed = 0


class GuestProcess:
    """One program in the guest.  `AgentLink.spawn` makes it."""

    def __init__(self, link: "AgentLink", number: int, name: str) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.stdout = asyncio.StreamReader(limit=1 << 17)
        self.stderr = asyncio.StreamReader(limit=1 << 17)
        self._link = link
        self._number = number
        self._status: asyncio.Future[int] = loop.create_future()
        self._started: asyncio.Future[None] = loop.create_future()
        self._input_window = frames.WINDOW
        self._input_room = asyncio.Event()
        self._streams = {frames.OUTPUT: self.stdout, frames.ERRORS: self.stderr}
        self._flows = {kind: _Flow(link, number, kind) for kind in self._streams}
        self._open = set(self._streams)
        for kind, stream in self._streams.items():
            stream.set_transport(self._flows[kind])
        # Whoever does not ask for the status must not get a warning about it.
        self._status.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._started.add_done_callback(lambda future: future.cancelled() or future.exception())

    @property
    def status(self) -> int | None:
        """The exit status, 128 + signal where it was killed; None while it runs."""
        done = self._status.done() and not self._status.cancelled() and self._status.exception() is None
        return self._status.result() if done else None

    async def wait(self) -> int:
        """Wait for its end and return the exit status, 128 + signal where it was killed.

        Raises:
            HostFault: the machine went away.
        """
        return await asyncio.shield(self._status)

    async def communicate(self, data: bytes | None = None) -> Completed:
        """Send `data` and the end of input, collect all that it writes until it ends, and wait for that."""
        output, errors, status, _ = await asyncio.gather(
            self.stdout.read(), self.stderr.read(), self.wait(), self._feed(data)
        )
        return Completed(status, output, errors)

    async def write(self, data: bytes) -> None:
        """Send bytes to its standard input; waits while it does not read."""
        for begin in range(0, len(data), frames.CHUNK):
            piece = data[begin : begin + frames.CHUNK]
            while self._input_window < len(piece) and not self._status.done():
                self._input_room.clear()
                await self._input_room.wait()
            self._input_window -= len(piece)
            self._link.send(frames.INPUT, self._number, piece)

    def close_input(self) -> None:
        """End its standard input; it still gets all that was written."""
        self._link.send(frames.INPUT_END, self._number)

    def send_signal(self, number: int, *, session: bool = False) -> None:
        """Send it a signal; with `session`, to all processes of its process group."""
        if not self._status.done():
            self._link.send(frames.SIGNAL, self._number, bytes((number, session)))

    def kill(self) -> None:
        """Kill it and its process group."""
        self.send_signal(signal.SIGKILL, session=True)

    async def _feed(self, data: bytes | None) -> None:
        if data:
            await self.write(data)
        self.close_input()

    # What the link calls.

    async def started(self) -> None:
        """Wait until the guest has run the program; raises StartFailed where it can't."""
        await self._started

    def handle(self, frame: frames.Frame) -> bool:
        """Take a frame about this program; returns whether it was the last one."""
        match frame.kind:
            case frames.OUTPUT | frames.ERRORS:
                self._handle_data(frame.kind, frame.payload)
            case frames.EXITED:
                status, _ = frames.COUNT.unpack(frame.payload)
                code = os.waitstatus_to_exitcode(status)
                self._set_status(code if code >= 0 else 128 - code)
            case frames.STARTED:
                if not self._started.done():
                    self._started.set_result(None)
            case frames.FAILED:
                code, _ = frames.COUNT.unpack_from(frame.payload)
                text = frame.payload[frames.COUNT.size :].decode(errors="replace")
                self.fail(StartFailed(self.name, code, text))
            case frames.CREDIT_INPUT:
                _, count = frames.COUNT.unpack(frame.payload)
                self._input_window += count
                self._input_room.set()
            case _:
                raise HostFault(f"the agent sent a frame of unknown kind {frame.kind:#x}")
        return self._status.done() and not self._open

    def fail(self, error: Exception) -> None:
        """End everything that is still open, with `error`."""
        for future in (self._started, self._status):
            if not future.done():
                future.set_exception(error)
        self._input_room.set()
        for kind in tuple(self._open):
            self._handle_data(kind, b"")

    def _handle_data(self, kind: int, data: bytes) -> None:
        if kind not in self._open:
            return
        if data:
            self._streams[kind].feed_data(data)
            self._flows[kind].credit(len(data))
        else:
            self._open.discard(kind)
            self._streams[kind].feed_eof()

    def _set_status(self, status: int) -> None:
        if not self._status.done():
            self._status.set_result(status)
        self._input_room.set()


class AgentLink:
    """The line to the agent.

    Args:
        connection: our end of the port's socket; owned from now on.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._received = bytearray()
        self._processes: dict[int, GuestProcess] = {}
        self._next = 1
        self._ready: asyncio.Future[str] = self._loop.create_future()
        self._ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._to_send = bytearray()
        self._closed = False
        connection.setblocking(False)
        self._loop.add_reader(connection.fileno(), self._handle_readable)

    async def ready(self) -> str:
        """Wait until the guest is set up; returns what it says about that, empty where all is well."""
        return await asyncio.shield(self._ready)

    async def spawn(
        self, user: str, directory: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> GuestProcess:
        """Start a program.

        Raises:
            StartFailed: there is no such program, user or directory.
            HostFault: the machine is gone.
        """
        if self._closed:
            raise HostFault("the virtual machine is gone")
        process = GuestProcess(self, self._next, argv[0])
        self._processes[self._next] = process
        variables = [f"{name}={value}" for name, value in environment.items()]
        payload = frames.pack_strings([user, directory, str(len(argv)), *argv, *variables])
        self.send(frames.SPAWN, self._next, payload)
        self._next += 1
        await process.started()
        return process

    def power_off(self) -> None:
        """Ask the guest to end all programs and switch off."""
        self.send(frames.POWER_OFF, 0)

    def send(self, kind: int, process: int, payload: bytes = b"") -> None:
        """Queue one frame."""
        if self._closed:
            return
        idle = not self._to_send
        self._to_send += frames.encode_frame(kind, process, payload)
        if idle:
            self._handle_writable()

    def close(self, reason: Exception | None = None) -> None:
        """Close the line; every program that still ran fails with `reason`."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._connection.fileno())
        self._loop.remove_writer(self._connection.fileno())
        self._connection.close()
        error = reason or HostFault("the virtual machine is gone")
        if not self._ready.done():
            self._ready.set_exception(error)
        for process in self._processes.values():
            process.fail(error)
        self._processes.clear()

    def _handle_writable(self) -> None:
        try:
            count = self._connection.send(self._to_send)
        except BlockingIOError:
            count = 0
        except OSError:
            self.close()
            return
        del self._to_send[:count]
        if self._to_send:
            self._loop.add_writer(self._connection.fileno(), self._handle_writable)
        else:
            self._loop.remove_writer(self._connection.fileno())

    def _handle_readable(self) -> None:
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        try:
            for frame in frames.take_frames(self._received):
                self._handle_frame(frame)
        except (frames.FrameError, HostFault) as error:
            self.close(HostFault(f"the agent in the guest sent nonsense: {error}"))

    def _handle_frame(self, frame: frames.Frame) -> None:
        if frame.kind == frames.READY:
            if not self._ready.done():
                self._ready.set_result(frame.payload.decode(errors="replace"))
            return
        process = self._processes.get(frame.process)
        if process is not None and process.handle(frame):
            del self._processes[frame.process]
