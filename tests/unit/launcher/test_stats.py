"""The counters and their file."""

import json
import time
from pathlib import Path

from launcher.stats import Stats


def test_the_file_tells_all_clients_and_their_sum(tmp_path: Path) -> None:
    stats = Stats(str(tmp_path / "stats"))
    stats.app_started(time.clock_gettime(time.CLOCK_BOOTTIME))
    first, second = stats.add_client("first"), stats.add_client("second")
    first.frames, second.frames = 2, 3
    first.bytes_damaged, first.bytes_copied = 10, 20
    first.count_buffer("shm-copy")
    stats.first_frame(first)
    stats.client_gone(first)
    stats.write()
    told = json.loads((tmp_path / "stats").read_text())
    assert told["clients"] == 2
    assert told["frames"] == 5
    assert told["bytes_damaged"] == 10
    assert told["bytes_copied"] == 20
    assert told["buffers"] == {"shm-copy": 1}
    assert 0 < told["start_s"] <= told["first_frame_s"]
    assert [client["name"] for client in told["per_client"]] == ["first", "second"]


def test_many_clients_that_left_stay_in_the_sum_only() -> None:
    stats = Stats(None)
    for _ in range(1000):
        client = stats.add_client("short")
        client.frames = 1
        stats.client_gone(client)
    assert stats.totals().frames == 1000


def test_a_file_that_can_not_be_written_costs_nothing(tmp_path: Path) -> None:
    Stats(str(tmp_path / "nowhere" / "stats")).write()
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_counted_by_the_way_of_their_buffer(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    stats = Stats(str(path))
    first, second = stats.add_client("first"), stats.add_client("second")
    first.count_copied("shm-pages", 4)
    first.count_copied("dmabuf-copy", 0)
    second.count_copied("shm-pages", 8)
    second.count_copied("dmabuf-copy", 2)
    stats.write()
    written = json.loads(path.read_text())
    assert written["bytes_copied_by_path"] == {"shm-pages": 12, "dmabuf-copy": 2}
    assert [client["bytes_copied_by_path"] for client in written["per_client"]] == [
        {"shm-pages": 4},
        {"shm-pages": 8, "dmabuf-copy": 2},
    ]
