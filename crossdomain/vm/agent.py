"""The first process of the guest: starts programs for the host and streams their input and output.

It speaks `frames` over a virtio-serial port, reaps every process as pid 1 must, and switches the
machine off.  It runs where starting Python costs half a second and each import more, so it gets
along with the smallest modules of the standard library and has one loop around poll.
"""

import fcntl
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from crossdomain.vm import frames

_TERM_SECONDS: Final = 2.0
"""Time that programs get between SIGTERM and SIGKILL when the machine is switched off."""

_MAX_BACKLOG: Final = 1 << 20
"""Bytes that wait for the port before no program's output is read any more."""

_SIGTERM: Final = 15
_SIGKILL: Final = 9


class Account:
    """A line of /etc/passwd and what belongs to it."""

    def __init__(self, name: str) -> None:
        with open("/etc/passwd") as passwd:
            for line in passwd:
                fields = line.rstrip("\n").split(":")
                if fields[0] == name:
                    self.uid = int(fields[2])
                    self.gid = int(fields[3])
                    return
        raise OSError(2, f"no user {name}")


class Program:
    """One running program and the agent's ends of its three pipes (-1 once closed)."""

    def __init__(self, number: int, pid: int, pidfd: int, pipes: tuple[int, int, int]) -> None:
        self.number = number
        self.pid = pid
        self.pidfd = pidfd
        self.input, self.output, self.errors = pipes
        self.pending_input = bytearray()
        self.input_ends = False
        self.window = {frames.OUTPUT: frames.WINDOW, frames.ERRORS: frames.WINDOW}


class Agent:
    """Serves the host over `port`, an open virtio-serial port, until told to switch off."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._received = bytearray()
        self._to_send = bytearray()
        self._programs: dict[int, Program] = {}
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        os.set_blocking(port, False)
        self._watch(port, select.POLLIN, self._handle_port)

    def announce(self, text: str) -> None:
        """Tell the host that the guest is ready."""
        self._send(frames.READY, 0, text.encode())

    def serve(self) -> NoReturn:
        """Run for ever."""
        while True:
            self._balance()
            for fd, events in self._poll.poll():
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(events)
            _reap_orphans({program.pid for program in self._programs.values()})

    # Polling.

    def _watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def _forget(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _balance(self) -> None:
        """Write what is due and decide which streams may be read."""
        self._flush()
        self._poll.modify(self._port, select.POLLIN | (select.POLLOUT if self._to_send else 0))
        room = len(self._to_send) < _MAX_BACKLOG
        for program in self._programs.values():
            for kind, fd in ((frames.OUTPUT, program.output), (frames.ERRORS, program.errors)):
                if fd in self._handlers:
                    # POLLHUP is always reported: a stream that may not be read is not registered.
                    if not (room and program.window[kind] > 0):
                        self._forget(fd)
                elif fd >= 0 and room and program.window[kind] > 0:
                    self._watch(fd, select.POLLIN, self._reader(program, kind, fd))

    # The port.

    def _send(self, kind: int, process: int, payload: bytes = b"") -> None:
        self._to_send += frames.encode_frame(kind, process, payload)

    def _flush(self) -> None:
        while self._to_send:
            try:
                count = os.write(self._port, self._to_send[: frames.CHUNK])
            except BlockingIOError:
                return
            del self._to_send[:count]

    def _handle_port(self, _events: int) -> None:
        try:
            data = os.read(self._port, 1 << 16)
        except BlockingIOError:
            return
        if not data:  # the host is gone; nobody would ever switch us off
            self._power_off()
        self._received += data
        for frame in frames.take_frames(self._received):
            self._handle_frame(frame)

    def _handle_frame(self, frame: frames.Frame) -> None:
        if frame.kind == frames.SPAWN:
            self._spawn(frame.process, frames.unpack_strings(frame.payload))
        elif frame.kind == frames.POWER_OFF:
            self._power_off()
        else:
            program = self._programs.get(frame.process)
            if program is not None:
                self._handle_for_program(program, frame)

    def _handle_for_program(self, program: Program, frame: frames.Frame) -> None:
        if frame.kind == frames.INPUT:
            program.pending_input += frame.payload
            self._write_input(program)
        elif frame.kind == frames.INPUT_END:
            program.input_ends = True
            self._write_input(program)
        elif frame.kind == frames.SIGNAL:
            _signal(program.pid, frame.payload[0], session=bool(frame.payload[1]))
        elif frame.kind == frames.CREDIT_OUTPUT:
            kind, count = frames.COUNT.unpack(frame.payload)
            program.window[kind] += count

    # Programs.

    def _spawn(self, number: int, strings: list[str]) -> None:
        try:
            program = _start(number, strings)
        except (OSError, ValueError) as error:
            code = error.errno if isinstance(error, OSError) and error.errno else 22
            text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            self._send(frames.FAILED, number, frames.COUNT.pack(code, 0) + text.encode())
            return
        self._programs[number] = program
        self._send(frames.STARTED, number)
        self._watch(program.pidfd, select.POLLIN, lambda _events: self._handle_exit(program))

    def _reader(self, program: Program, kind: int, fd: int) -> Callable[[int], None]:
        def read(_events: int) -> None:
            self._read_output(program, kind, fd, frames.CHUNK)

        return read

    def _read_output(self, program: Program, kind: int, fd: int, limit: int) -> bool:
        """Forward one piece of output; returns whether there may be more right now."""
        try:
            data = os.read(fd, limit)
        except BlockingIOError:
            return False
        program.window[kind] -= len(data)
        self._send(kind, program.number, data)
        if not data:
            self._close_output(program, kind)
        return bool(data)

    def _close_output(self, program: Program, kind: int) -> None:
        fd = program.output if kind == frames.OUTPUT else program.errors
        self._forget(fd)
        os.close(fd)
        if kind == frames.OUTPUT:
            program.output = -1
        else:
            program.errors = -1
        if program.pid < 0 and program.output < 0 and program.errors < 0:
            del self._programs[program.number]

    def _write_input(self, program: Program) -> None:
        if program.input < 0:
            self._discard_input(program)
            return
        while program.pending_input:
            try:
                count = os.write(program.input, program.pending_input)
            except BlockingIOError:
                if program.input not in self._handlers:
                    self._watch(program.input, select.POLLOUT, lambda _events: self._write_input(program))
                return
            except BrokenPipeError:
                self._close_input(program)
                self._discard_input(program)
                return
            del program.pending_input[:count]
            self._send(frames.CREDIT_INPUT, program.number, frames.COUNT.pack(0, count))
        self._forget(program.input)
        if program.input_ends:
            self._close_input(program)

    def _discard_input(self, program: Program) -> None:
        count = len(program.pending_input)
        program.pending_input.clear()
        self._send(frames.CREDIT_INPUT, program.number, frames.COUNT.pack(0, count))

    def _close_input(self, program: Program) -> None:
        self._forget(program.input)
        os.close(program.input)
        program.input = -1

    def _handle_exit(self, program: Program) -> None:
        # Not waiting: the event may be an old one of a descriptor whose number was given again.
        pid, status = os.waitpid(program.pid, os.WNOHANG)
        if pid == 0:
            return
        self._forget(program.pidfd)
        os.close(program.pidfd)
        # What it wrote before it ended goes out before the news of its end, whatever the window says:
        # a pipe holds no more than 64 KiB.
        for kind, fd in ((frames.OUTPUT, program.output), (frames.ERRORS, program.errors)):
            left = 1 << 17
            while fd >= 0 and left > 0 and self._read_output(program, kind, fd, frames.CHUNK):
                left -= frames.CHUNK
        self._send(frames.EXITED, program.number, frames.COUNT.pack(status, 0))
        program.pid = -1
        if program.input >= 0:
            self._close_input(program)
        # Its children may still hold the other ends of the pipes: then the streams go on.
        if program.output < 0 and program.errors < 0:
            self._programs.pop(program.number, None)

    # The end.

    def _power_off(self) -> NoReturn:
        if os.getpid() != 1:  # no machine of our own: what runs here is not ours to end
            sys.exit(0)
        _end_all_processes()
        os.sync()
        os.execv("/bin/busybox", ["busybox", "poweroff", "-f"])


def _start(number: int, strings: list[str]) -> Program:
    user, directory, count = strings[0], strings[1], int(strings[2])
    arguments = strings[3 : 3 + count]
    environment = dict(entry.split("=", 1) for entry in strings[3 + count :])
    account = Account(user)
    input_read, input_write = os.pipe()
    output_read, output_write = os.pipe()
    errors_read, errors_write = os.pipe()
    report_read, report_write = os.pipe()
    ours = (input_write, output_read, errors_read)
    pid = os.fork()
    if pid == 0:
        _become(
            account, directory, arguments, environment, (input_read, output_write, errors_write), report_write
        )
    for fd in (input_read, output_write, errors_write, report_write):
        os.close(fd)
    failure = os.read(report_read, 4096)
    os.close(report_read)
    if failure:
        os.waitpid(pid, 0)
        for fd in ours:
            os.close(fd)
        code, _, text = failure.decode().partition(" ")
        raise OSError(int(code), text)
    for fd in ours:
        os.set_blocking(fd, False)
    return Program(number, pid, os.pidfd_open(pid), ours)


def _become(
    account: Account, directory: str, arguments: list[str], environment: dict[str, str],
    streams: tuple[int, int, int], report: int,
) -> NoReturn:  # fmt: skip
    """Turn the forked child into the program; an errno and a text go to `report` where that fails."""
    try:
        os.setsid()
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.setgroups([account.gid])
        os.setgid(account.gid)
        os.setuid(account.uid)
        os.umask(0o022)
        os.chdir(directory)
        os.execvpe(arguments[0], arguments, environment)
    except OSError as error:
        text = f"{error.errno} {error.strerror}"
        os.write(report, text.encode())
    finally:
        os._exit(127)


def _signal(pid: int, number: int, *, session: bool) -> None:
    if pid < 0:
        return
    try:
        if session:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        pass


def _reap_orphans(ours: set[int]) -> None:
    """Reap children that were left to us, but not our programs: their exit is news of its own."""
    try:
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in ours:
                return
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:
        return


def _end_all_processes() -> None:
    for number in (_SIGTERM, _SIGKILL):
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _TERM_SECONDS
        while time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                time.sleep(0.02)


def find_port(name: str) -> str:
    """Return the device of the virtio-serial port `name`.

    Raises:
        OSError: there is none.
    """
    ports = "/sys/class/virtio-ports"
    for entry in os.listdir(ports):
        with open(f"{ports}/{entry}/name") as file:
            if file.read().strip() == name:
                return f"/dev/{entry}"
    raise OSError(2, f"no virtio-serial port {name}")


def main() -> NoReturn:
    """Serve the host; the arguments are the pids of set-up work that has to end first."""
    port = os.open(find_port(frames.PORT), os.O_RDWR | os.O_CLOEXEC)
    fcntl.fcntl(port, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    agent = Agent(port)
    failed = False
    for pid in sys.argv[1:]:
        _, status = os.waitpid(int(pid), 0)
        failed = failed or status != 0
    agent.announce("set-up failed" if failed else "")
    agent.serve()
