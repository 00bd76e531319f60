"""What a compositor does until a picture is finished: `python3 -m tests.fakes.standstill DISPLAY`.

The client tells it by zwp_linux_explicit_synchronization_v1, with a fence of vgem's.  Somebody else asks for
what is on the screen of DISPLAY meanwhile.  It prints "goes on" where there is an answer before the fence is
over, else "stands still", and how many pixels of the finished picture are on the screen then.
"""

import os
import sys
from typing import Final

from crossdomain.bridge import sync_file
from tests.fakes.client import FakeClient
from tests.fakes.early_painter import HEIGHT, OLD, RED, WIDTH, WRONG, Picture
from tests.fakes.screenshot import Camera
from tests.fakes.vgem import Vgem
from tests.fakes.windows import Window

_PATIENCE: Final = 4.0
"""Seconds: vgem ends a fence itself after 10."""


class Painter:
    """A fullscreen window."""

    def __init__(self, client: FakeClient) -> None:
        self._client = client
        self._dmabuf = client.bind("zwp_linux_dmabuf_v1", 3)
        self.surface = Window(client, title="standstill", fullscreen=True).surface
        manager = client.bind("zwp_linux_explicit_synchronization_v1")
        self.sync = manager.create("get_synchronization", self.surface.proxy)

    def commit(self, colour: str) -> Picture:
        """Shows a new picture."""
        picture = Picture(self._client, self._dmabuf)
        picture.paint(colour)
        self.surface.proxy.send("attach", picture.proxy, 0, 0)
        self.surface.damage_all()
        self.surface.commit()
        self._client.flush()
        return picture


def goes_on(camera: Camera) -> bool:
    """Whether it is answered."""
    try:
        camera.finish(_PATIENCE)
    except TimeoutError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Looks."""
    (display,) = arguments
    with FakeClient() as client, FakeClient(display) as observer, Vgem() as vgem:
        camera, painter = Camera(observer), Painter(client)
        frame = painter.surface.frame()
        painter.commit(OLD)
        frame.wait()
        drawn = vgem.create(WIDTH, HEIGHT)
        drawing = drawn.begin_writing()
        fd = sync_file.written(drawn.fd)
        painter.sync.send("set_acquire_fence", fd)
        picture = painter.commit(WRONG)
        os.close(fd)
        camera.start()
        answered = goes_on(camera)
        print("goes on" if answered else "stands still", flush=True)
        picture.paint(RED)
        vgem.signal(drawing)
        if answered:
            camera.start()
        print(camera.finish().count(RED), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
