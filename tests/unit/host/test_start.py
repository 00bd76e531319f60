"""What `crossdomain host` loads: each worker of a VM has it all in memory for as long as the VM lives."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]

NOT_NEEDED: Final = {
    "PIL",
    "Xlib",
    "cffi",
    "email",
    "http",
    "launcher",
    "multiprocessing",
    "pywayland",
    "setuptools",
    "unittest",
    "xml",
}
OTHER_PARTS: Final = {"crossdomain.vm", "crossdomain.wire.trace", "crossdomain.wire.walker"}


def test_a_worker_has_nothing_loaded_that_it_does_not_use() -> None:
    program = f"import sys; sys.path[:0] = {sys.path!r}\n"
    program += "import crossdomain.cli, crossdomain.host.cli, crossdomain.host.worker\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISc", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "crossdomain.context.context" in loaded
    assert {name.partition(".")[0] for name in loaded} & NOT_NEEDED == set()
    assert loaded & OTHER_PARTS == set()
