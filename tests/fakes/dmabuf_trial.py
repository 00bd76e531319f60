"""Whether a compositor takes a udmabuf, asked without a proxy: `python3 -m tests.fakes.dmabuf_trial`.

It prints by which modifier the compositor lists linear memory for XR24, and its answer to such an image.
"""

import os
from typing import Final

from crossdomain.bridge.dmabuf import DRM_FORMAT_MOD_INVALID, DRM_FORMAT_MOD_LINEAR
from tests.fakes.client import FakeClient, integer
from tests.fakes.dmabufs import of_udmabuf
from tests.fakes.painting import fourcc

_CODE: Final = fourcc("XR24")
_NAMES: Final = {DRM_FORMAT_MOD_LINEAR: "linear", DRM_FORMAT_MOD_INVALID: "implicit"}
_WIDTH, _HEIGHT = 256, 64


def main() -> None:
    """Ask."""
    fd = of_udmabuf(_WIDTH * _HEIGHT * 4)
    with FakeClient() as client:
        dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        client.round_trip()
        listed = [tuple(map(integer, values)) for values in dmabuf.received("modifier")]
        modifiers = {high << 32 | low for code, high, low in listed if code == _CODE}
        modifier = next(modifier for modifier in _NAMES if modifier in modifiers)
        params = dmabuf.create("create_params")
        params.send("add", fd, 0, 0, _WIDTH * 4, *divmod(modifier, 1 << 32))
        params.send("create", _WIDTH, _HEIGHT, _CODE, 0)
        client.wait(lambda: bool(params.events), what="an answer")
        print(f"{_NAMES[modifier]}: {params.events[0].name}")
    os.close(fd)


if __name__ == "__main__":
    main()
