"""Reading /proc."""

import mmap
import os
import subprocess
import sys

from tests.bench import processes


def test_both_kinds_of_context_switches_are_counted() -> None:
    status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t30\n"

    assert processes.parse_switches(status) == 42


def test_private_memory_is_clean_and_dirty_and_huge() -> None:
    smaps = (
        "00400000-7ff ---p 0 00:00 0 [rollup]\nRss: 900 kB\nShared_Clean: 400 kB\n"
        "Private_Clean: 1 kB\nPrivate_Dirty: 2 kB\nPrivate_Hugetlb: 4 kB\n"
    )

    assert processes.parse_private_bytes(smaps) == 7 * 1024


def test_a_thread_runs_and_waits() -> None:
    assert processes.parse_times_ns("1200345 67890 12\n") == (1200345, 67890)


def test_own_cpu_time_grows_with_work() -> None:
    before = processes.cpu_ns([os.getpid()])
    sum(range(1_000_000))

    assert processes.cpu_ns([os.getpid()]) > before


def test_own_memory_grows_with_an_allocation() -> None:
    before = processes.private_bytes([os.getpid()])
    # A mapping of its own: the allocator may have that much left over from other tests.
    with mmap.mmap(-1, 32 << 20) as kept:
        kept[:] = b"x" * len(kept)
        assert processes.private_bytes([os.getpid()]) - before > len(kept) * 0.9


def test_ended_process_counts_as_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()

    assert processes.cpu_ns([ended.pid]) == processes.switches([ended.pid]) == 0
    assert processes.waited_ns([ended.pid]) == 0
    assert processes.private_bytes([ended.pid]) == 0
    assert processes.name_of(ended.pid) == ""


def test_tree_has_the_children_but_proxies_leave_the_client_out() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"it runs\n")
    child.stdin.flush()
    child.stdout.readline()  # it is `cat` now, not the fork of us

    family, others = processes.tree(os.getpid()), processes.proxies_of(os.getpid(), "cat")
    child.communicate()

    assert {os.getpid(), child.pid} <= set(family)
    assert child.pid not in others
