"""A client that tells what it hears of the keyboard: `python3 -m tests.fakes.typist COUNT`.

On its standard output: `keymap FORMAT SIZE SHA256`, `ready` when its window is on the screen, then one
line `key CODE STATE` per key event, COUNT of them; then it ends.
"""

import hashlib
import os
import sys

from tests.fakes.client import FakeClient, Value, integer
from tests.fakes.painting import solid_buffer
from tests.fakes.windows import Window


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def tell_keymap(values: tuple[Value, ...]) -> None:
    """What the keymap is; its fd is closed."""
    form, fd, size = (integer(value) for value in values)
    # The protocol asks for a private mapping, so a file that can only be read must do.
    content = os.pread(fd, size, 0)
    os.close(fd)
    say(f"keymap {form} {size} {hashlib.sha256(content).hexdigest()}")


def main(arguments: list[str]) -> int:
    """Report COUNT key events."""
    count = int(arguments[0])
    heard = 0

    def tell_key(values: tuple[Value, ...]) -> None:
        nonlocal heard
        heard += 1
        say(f"key {integer(values[2])} {integer(values[3])}")

    with FakeClient() as client:
        keyboard = client.bind("wl_seat").create("get_keyboard")
        keyboard.handlers = {"keymap": tell_keymap, "key": tell_key}
        Window(client, title="typist").show(solid_buffer(client, 200, 100, "808080"))
        client.round_trip()
        say("ready")
        client.wait(lambda: heard >= count, what=f"{count} key events")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
