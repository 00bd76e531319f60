"""Patterns that try every shape of damage and way to say it."""

from collections.abc import Iterator

from tests.fakes.painting import paint
from tests.fakes.patterns.stage import HEIGHT, WIDTH, Stage
from tests.fakes.windows import Rectangle


def damage_shapes() -> Iterator[tuple[str, list[Rectangle]]]:
    """Named damage in px of a WIDTH x HEIGHT buffer."""
    right, bottom = WIDTH - 1, HEIGHT - 1
    yield "everything", [Rectangle(0, 0, WIDTH, HEIGHT)]
    yield "corner pixels", [Rectangle(x, y, 1, 1) for x in (0, right) for y in (0, bottom)]
    yield "middle pixel", [Rectangle(WIDTH // 2, HEIGHT // 2, 1, 1)]
    yield "rows", [Rectangle(0, y, WIDTH, 1) for y in (0, 100, bottom)]
    yield "columns", [Rectangle(x, 0, 1, HEIGHT) for x in (0, 77, right)]
    yield "overlapping", [Rectangle(10, 10, 100, 100), Rectangle(60, 60, 100, 100), Rectangle(0, 90, 200, 9)]
    yield "nested", [Rectangle(40, 40, 120, 120), Rectangle(80, 80, 10, 10)]
    yield "touching", [Rectangle(100, 20, 30, 30), Rectangle(130, 20, 30, 30), Rectangle(100, 50, 60, 5)]
    yield "beyond the left top", [Rectangle(-50, -50, 100, 100)]
    yield "beyond the right bottom", [Rectangle(WIDTH - 40, HEIGHT - 30, 100_000, 100_000)]
    yield "outside", [Rectangle(WIDTH, 0, 10, 10), Rectangle(-20, 5, 20, 5)]
    yield "chessboard", [Rectangle(x, y, 8, 8) for y in range(0, HEIGHT, 8) for x in range(y % 16, WIDTH, 16)]
    yield "nothing", []
    yield "dotted", [Rectangle(x, y, 1, 1) for y in range(3, HEIGHT, 24) for x in range(5, WIDTH, 24)]
    yield "random", [random_area(number, WIDTH, HEIGHT) for number in range(200)]


def random_area(number: int, width: int, height: int) -> Rectangle:
    """The same small rectangle inside width x height for the same number."""
    state = (number * 2654435761 + 12345) & 0xFFFFFFFF
    x, y = (state >> 8) % (width - 1), (state >> 16) % (height - 1)
    return Rectangle(x, y, 1 + (state >> 3) % min(31, width - x), 1 + (state >> 5) % min(23, height - y))


def damage(stage: Stage) -> Iterator[str]:
    """Damage of many shapes with two buffers in turn, said in surface and in buffer coordinates."""
    chain = stage.swapchain(WIDTH, HEIGHT)
    announcers = (stage.surface.damage, stage.surface.damage_buffer)
    for kind, announce in zip(("surface", "buffer"), announcers, strict=True):
        for seed, (name, areas) in enumerate(damage_shapes(), start=2):
            chain.draw(areas, seed=seed)
            for area in areas:
                announce(area)
            stage.surface.commit_and_show()
            yield f"{kind} damage {name}"
        stage.reveal()
        yield f"{kind} damage revealed"
    chain.destroy()


def damage_of_both_kinds(stage: Stage) -> Iterator[str]:
    """One commit with surface and buffer damage, and damage that several commits before a frame add up."""
    chain = stage.swapchain(WIDTH, HEIGHT, count=3)
    chain.draw([Rectangle(5, 5, 60, 60), Rectangle(200, 100, 77, 33)], seed=5)
    stage.surface.damage(Rectangle(5, 5, 60, 60))
    stage.surface.damage_buffer(Rectangle(200, 100, 77, 33))
    stage.surface.commit_and_show()
    yield "both kinds"
    for number in range(40):
        area = random_area(number + 1000, WIDTH, HEIGHT)
        chain.draw([area], seed=number)
        stage.surface.damage_buffer(area)
        if number % 10 == 9:
            stage.surface.commit_and_show()
            yield f"three buffers {number}"
        else:
            stage.surface.commit()
    stage.reveal()
    yield "three buffers revealed"
    chain.destroy()


def without_attach(stage: Stage) -> Iterator[str]:
    """New pixels in the buffer that is shown, announced with damage alone."""
    buffer = stage.buffer(WIDTH, HEIGHT)
    paint(buffer, Rectangle(0, 0, WIDTH, HEIGHT), seed=11)
    stage.show(buffer)
    for number in range(3):
        area = Rectangle(20 + number * 90, 30, 70, 120)
        paint(buffer, area, seed=20 + number)
        stage.surface.damage_buffer(area)
        stage.surface.commit_and_show()
        yield f"without attach {number}"
    stage.reveal()
    yield "without attach revealed"
    buffer.destroy()
