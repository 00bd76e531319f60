"""Draws the patterns; see the package."""

import hashlib
import sys
from typing import Final

from tests.fakes.client import FakeClient
from tests.fakes.patterns import buffers, damage, geometry, trees
from tests.fakes.patterns.stage import Scenario, Stage
from tests.fakes.screenshot import take

SCENARIOS: Final[tuple[Scenario, ...]] = (
    buffers.formats,
    buffers.planes,
    buffers.offsets,
    buffers.pool_growth,
    buffers.sizes,
    buffers.short_lived,
    damage.damage,
    damage.damage_of_both_kinds,
    damage.without_attach,
    geometry.transforms,
    geometry.viewports,
    geometry.fractions,
    trees.subsurfaces,
    trees.one_buffer_on_two_surfaces,
    trees.translucent,
)


def main(arguments: list[str]) -> int:
    """Run all scenarios, or those named on the command line; `--windowed` where fullscreen is in the way.

    `--dmabufs=KIND,...` makes buffers of them.  With `--on=DISPLAY` it does not wait after a step, but prints
    a hash of what that Weston shows.
    """
    windowed = "--windowed" in arguments
    kinds = next((name.partition("=")[2] for name in arguments if name.startswith("--dmabufs=")), "")
    watched = [name.removeprefix("--on=") for name in arguments if name.startswith("--on=")]
    names = [name for name in arguments if not name.startswith("--")]
    chosen = [scenario for scenario in SCENARIOS if not names or scenario.__name__ in names]
    with FakeClient() as client:
        stage = Stage(client, fullscreen=not windowed, kinds=kinds)
        for scenario in chosen:
            for name in scenario(stage):
                client.round_trip()
                shown = [f" {hashlib.sha256(take(display).rgb).hexdigest()}" for display in watched]
                print(f"step {scenario.__name__}: {name}{''.join(shown)}", flush=True)
                if not watched and not sys.stdin.readline():
                    return 1
            stage.clear()
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
