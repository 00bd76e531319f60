"""What servers in a VM use while a client measures: `python3 -m tests.bench.inside SERVERS -- COMMAND`.

COMMAND ends in a client with a gate (`tests/bench/client`).  Its lines pass in both directions; its result
says, as watched_cpu_ns, what all processes used meanwhile in whose command line one of SERVERS is, by comma.
Of one that begins with "=" only the first thread counts: others play the kernel (`tests.fakes.guest_kernel`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import processes


def used_ns(servers: Sequence[str]) -> int:
    """Return what they used so far."""
    return sum(_used_ns(server.removeprefix("="), server.startswith("=")) for server in servers)


def _used_ns(name: str, only_first_thread: bool) -> int:
    pids = list(_find(name))
    if not only_first_thread:
        return processes.cpu_ns(pids)
    return sum(processes.first_thread_cpu_ns(pid) for pid in pids)


def _find(name: str) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in command and int(process.name) != os.getpid():
            yield int(process.name)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status, and not 0 where it ended before it had measured."""
    servers, _, *command = arguments
    watched = servers.split(",")
    used: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for _phase in ("begin", "end"):
            line = client.stdout.readline()
            if not line:
                return client.wait() or 1
            used.append(used_ns(watched))
            print(line, end="", flush=True)
            client.stdin.write(sys.stdin.readline())
            client.stdin.flush()
        result = json.loads(client.stdout.readline())
        print(json.dumps({**result, "watched_cpu_ns": used[1] - used[0]}), flush=True)
    return client.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
