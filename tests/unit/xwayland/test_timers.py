"""Timers of the X11 side's loop."""

import time

from launcher.xwayland.timers import Patience, TimedLoop


def test_patience_ends_when_nothing_happens() -> None:
    loop = TimedLoop()
    Patience(loop, 0.01, loop.stop).renew()
    loop.run()


def test_patience_lasts_as_long_as_something_happens() -> None:
    loop = TimedLoop()
    begin = time.monotonic()
    patience = Patience(loop, 0.02, loop.stop)
    for count in range(1, 6):
        loop.call_later(0.01 * count, patience.renew)
    # After these: it may take longer to come to it than patience lasts.
    patience.renew()
    loop.run()
    assert time.monotonic() - begin >= 0.07


def test_patience_that_is_paused_or_over_ends_nothing() -> None:
    loop = TimedLoop()
    ended: list[str] = []
    paused = Patience(loop, 0.01, lambda: ended.append("paused"))
    over = Patience(loop, 0.01, lambda: ended.append("over"))
    for patience in (paused, over):
        patience.renew()
    paused.pause()
    over.end()
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert not ended


def test_a_cancelled_timer_is_not_waited_for() -> None:
    loop = TimedLoop()
    loop.call_later(0.01, loop.stop)
    loop.call_later(3600, loop.stop).cancel()
    loop.run()
