"""A compositor's sync file on its way to a guest: `python3 -m tests.fakes.sync_files`, on a kernel with vgem.

The compositor and the guest are this process, the daemon between them is real, and so is the fence: what
vgem draws.  Prints whether the guest's fence is over before and after that has come to its end.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from crossdomain.abi.cross_domain import Identifier, SendReceive
from crossdomain.abi.sync import FIRST_SYNC_RING, encode_await_sync
from crossdomain.bridge import sync_file
from tests.fakes.endpoint import Endpoint
from tests.fakes.fence_taker import FIRST_RELEASE, OFFERED, ask_for_globals, ask_for_releases
from tests.fakes.frontend import FakeFrontend
from tests.fakes.guest_context import GuestContext
from tests.fakes.guest_ram import GuestRam
from tests.fakes.patience import in_time
from tests.fakes.vgem import Vgem
from tests.unit.context.world import event

_RAM: Final = 16 << 20
_SETTINGS: Final = '[default]\nsecurity_context = "off"\n'


class Drawing(NamedTuple):
    """What a device draws."""

    fence: int
    """A sync file, whose taker closes it."""
    finish: Callable[[], None]


@contextmanager
def running_daemon(folder: Path, listener: socket.socket) -> Generator[Path]:
    """A daemon whose compositor listens there; the socket of its GPU."""
    settings, gpu = folder / "host.toml", folder / "gpu"
    settings.write_text(_SETTINGS)
    listener.bind(os.fsencode(folder / "wayland"))
    listener.listen()
    options = [f"--config={settings}", f"--socket={gpu}", f"--local-socket={folder / 'local'}"]
    display = f"--wayland-display={folder / 'wayland'}"
    command = [sys.executable, "-m", "crossdomain.cli", "host", *options, display]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready")
        listener.accept()[0].close()  # the daemon looked whether a compositor is there
        yield gpu
        process.terminate()


async def carry(gpu_socket: Path, listener: socket.socket, begin: Callable[[], Drawing]) -> str:
    """What the guest knows of a fence before and after its end."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.fsencode(gpu_socket))
    async with FakeFrontend(connection, ram=GuestRam(_RAM)) as gpu:
        guest = await GuestContext.open(gpu, 1)
        with closing(Endpoint(listener.accept()[0])) as host:
            assert (await guest.send(ask_for_globals())).ok
            host.send_raw(b"".join(event("wl_registry", "global", 2, *offered) for offered in OFFERED))
            await guest.next_event()
            assert (await guest.send(ask_for_releases(1))).ok
            given = event("zwp_linux_buffer_release_v1", "fenced_release", FIRST_RELEASE, None)
            # Not before all are there: it ends by itself after 10 s.
            drawing = begin()
            host.send_raw(given, [drawing.fence])
            os.close(drawing.fence)
            command = encode_await_sync((await _received(guest)).identifier, FIRST_SYNC_RING)
            waited = gpu.driver.post_submit_3d(1, command, ring_idx=FIRST_SYNC_RING)
            # Whatever is answered at once is answered before this.
            assert (await guest.submit(b"", ring_idx=0)).ok
            before = _state(waited)
            drawing.finish()
            await in_time(waited)
            return f"{before} {_state(waited)}"


async def _received(guest: GuestContext) -> Identifier:
    received = await guest.next_event()
    assert isinstance(received, SendReceive)
    (identifier,) = received.identifiers
    return identifier


def _state(fence: "asyncio.Future[bytes]") -> str:
    return "over" if fence.done() else "pending"


def main() -> None:
    """Print both states."""
    with tempfile.TemporaryDirectory(prefix="xd-") as name, Vgem() as vgem:
        folder = Path(name)
        buffer = vgem.create(64, 64)

        def begin() -> Drawing:
            drawing = buffer.begin_writing()
            return Drawing(sync_file.written(buffer.fd), lambda: vgem.signal(drawing))

        with socket.socket(socket.AF_UNIX) as listener, running_daemon(folder, listener) as gpu:
            print(asyncio.run(carry(gpu, listener, begin)))
        buffer.close()


if __name__ == "__main__":
    main()
