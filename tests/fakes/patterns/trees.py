"""Patterns on several surfaces at once."""

from collections.abc import Iterator

from tests.fakes.painting import paint
from tests.fakes.patterns.stage import HEIGHT, WIDTH, Stage, Subsurface
from tests.fakes.windows import Rectangle


def subsurfaces(stage: Stage) -> Iterator[str]:
    """Children above and below, whose commits wait for the parent's, move, vanish and come back."""
    chain = stage.swapchain(WIDTH, HEIGHT)
    children = [Subsurface(stage, 20 + 70 * number, 15 + 40 * number) for number in range(3)]
    buffers = [stage.buffer(90 + 10 * number, 70) for number in range(3)]
    for number, (child, buffer) in enumerate(zip(children, buffers, strict=True)):
        paint(buffer, Rectangle(0, 0, buffer.layout.width, buffer.layout.height), seed=60 + number)
        child.commit(buffer)
    stage.surface.commit_and_show()
    yield "synchronised children"
    children[1].proxy.send("place_below", stage.surface.proxy)
    children[0].move(-30, -20)
    stage.surface.commit_and_show()
    yield "moved children"
    children[2].synchronous(False)
    other = stage.buffer(60, 60)
    paint(other, Rectangle(0, 0, 60, 60), seed=70)
    children[2].show(other)
    yield "a desynchronised child"
    children[0].surface.attach(None)
    children[0].surface.commit()
    chain.draw([Rectangle(0, 0, 50, 50)], seed=71)
    stage.surface.damage_buffer(Rectangle(0, 0, 50, 50))
    stage.surface.commit_and_show()
    yield "a hidden child"
    children[0].commit(buffers[0])
    stage.surface.commit_and_show()
    yield "a child that came back"
    for child in children:
        child.destroy()
    stage.surface.commit_and_show()
    yield "without children"
    for buffer in (*buffers, other):
        buffer.destroy()
    chain.destroy()


def one_buffer_on_two_surfaces(stage: Stage) -> Iterator[str]:
    """The same buffer in a window and in its child, drawn once and damaged in both."""
    buffer = stage.buffer(150, 110)
    paint(buffer, Rectangle(0, 0, 150, 110), seed=80)
    child = Subsurface(stage, 160, 100)
    child.commit(buffer)
    stage.show(buffer)
    yield "one buffer twice"
    area = Rectangle(30, 30, 60, 60)
    paint(buffer, area, seed=81)
    child.surface.damage_buffer(area)
    child.surface.commit()
    stage.surface.damage_buffer(area)
    stage.surface.commit_and_show()
    yield "one buffer changed twice"
    child.destroy()
    stage.surface.commit_and_show()
    buffer.destroy()


def translucent(stage: Stage) -> Iterator[str]:
    """Alpha over another surface, with and without a (wrong) promise to be opaque."""
    chain = stage.swapchain(WIDTH, HEIGHT)
    child = Subsurface(stage, 40, 40)
    buffer = stage.buffer(200, 140, format_code=0)
    for row in range(140):
        buffer.write_row(row, 0, bytes((row // 2, 40, 0, 128 + row // 2)) * 200)
    child.commit(buffer)
    stage.surface.commit_and_show()
    yield "translucent"
    region = stage.window.compositor.create("create_region")
    region.send("add", 0, 0, 100, 140)
    child.surface.proxy.send("set_opaque_region", region)
    region.send("destroy")
    child.commit(buffer)
    stage.surface.commit_and_show()
    yield "half opaque"
    child.destroy()
    stage.surface.commit_and_show()
    buffer.destroy()
    chain.destroy()
