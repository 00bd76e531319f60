"""Builds the C core: cffi in API mode, against CPython's stable ABI.

`setup.py` names `ffibuilder`; `python setup.py build_ext --inplace` puts
`_core.abi3.so` beside this file.  What the module declares to Python is in
`core.cdef`; what a caller sees is in `crossdomain/native/__init__.py`.
"""

from pathlib import Path

from cffi import FFI

HERE = Path("crossdomain/native")
SOURCES = (
    *("tables.c", "objects.c", "walker.c", "blocks.c", "copy.c", "region.c", "runs.c", "system.c"),
    *("poller.c", "routes.c", "passage.c", "virtqueue.c", "frames.c", "ring.c", "lane.c"),
)
HEADERS = (
    "abi.h",
    "blocks.h",
    "core.h",
    "objects.h",
    "poller.h",
    "routes.h",
    "passage.h",
    "virtqueue.h",
    "frames.h",
    "patience.h",
    "ring.h",
    "lane.h",
)
WARNINGS = ("-Wall", "-Wextra")

ffibuilder = FFI()
ffibuilder.cdef((Path(__file__).parent / "core.cdef").read_text())
ffibuilder.set_source(
    "crossdomain.native._core",
    '#include "virtqueue.h"\n#include "lane.h"',
    sources=[str(HERE / name) for name in SOURCES],
    depends=[str(HERE / name) for name in (*HEADERS, "core.cdef")],
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden", *WARNINGS],
    extra_link_args=["-Wl,-z,relro,-z,now"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
