"""The local channel's end: what the daemon has said before still counts."""

import select
import socket
import threading
from contextlib import closing
from pathlib import Path

from crossdomain.abi import local
from crossdomain.abi.cross_domain import encode_receive
from crossdomain.abi.local import ToLauncher
from crossdomain.context.capset import capset
from launcher.channel.local import LocalChannel
from launcher.channel.seam import Event


def test_last_words_arrive_though_the_daemon_ended_with_commands_unread(runtime_dir: Path) -> None:
    path = runtime_dir / "local.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(local.MAX_PACKET)
                connection.send(local.encode_packet(ToLauncher.WELCOME, capset()))
                select.select([connection], [], [])  # INIT, which stays unread
                connection.send(local.encode_packet(ToLauncher.EVENT, encode_receive(b"last words")))

        daemon = threading.Thread(target=serve)
        daemon.start()
        with closing(LocalChannel(str(path), "client")) as channel:
            daemon.join()
            heard: list[Event] = []
            while not heard or heard[-1].data:
                heard += channel.receive()
            assert [bytes(event.data) for event in heard] == [b"last words", b""]
            assert channel.has_ended
