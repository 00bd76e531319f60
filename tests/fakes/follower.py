"""A client whose window follows its outputs: their scales, rotations and modes, and that they come and go.

It draws with a fractional scale as toolkits do: a buffer of the scaled size, and a viewport of the
size that the compositor asked for.  What it hears is kept per object, in order.
"""

from collections.abc import Iterator
from typing import Final

from tests.fakes.client import FakeClient, Proxy, Value, integer
from tests.fakes.painting import XRGB8888, layout_for, paint
from tests.fakes.windows import Buffer, Pool, Rectangle, Window

ONE: Final = 120
"""Scale 1 of wp_fractional_scale_v1."""


class Follower:
    """The client; whoever makes it closes the connection after `close`."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self._shm = client.bind("wl_shm")
        self._described = client.bind("zxdg_output_manager_v1")
        self.outputs: dict[int, Proxy] = {}
        """Those that are plugged in, by the names of their globals."""
        self._objects: dict[str, Proxy] = {}
        self._told: dict[str, list[str]] = {"registry": [], "toplevel": []}
        self._buffers: list[Buffer] = []
        for entry in client.globals:
            self._handle_global((entry.name, entry.interface, entry.version))
        client.registry.handlers["global"] = self._handle_global
        client.registry.handlers["global_remove"] = self._handle_global_remove
        self.window = Window(client, title="follower")
        surface = self.window.surface.proxy
        self._objects["surface"] = surface
        self._fractional = client.bind("wp_fractional_scale_manager_v1").create(
            "get_fractional_scale", surface
        )
        self._objects["fractional scale"] = self._fractional
        self._viewport = client.bind("wp_viewporter").create("get_viewport", surface)
        self._resize = self.window.toplevel.handlers["configure"]
        self.window.toplevel.handlers["configure"] = self._handle_size

    @property
    def scale(self) -> int:
        """The scale to draw at, in 120ths."""
        told = self._fractional.received("preferred_scale")
        return integer(told[-1][0]) if told else ONE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height to draw, in surface coordinates."""
        return self.window.size if all(self.window.size) else (300, 200)

    @property
    def output(self) -> str | None:
        """The name of the output that the window is on."""
        entered: list[str] = []
        for event in self.window.surface.proxy.events:
            (output,) = event.arguments
            if event.name == "enter":
                entered.append(self._label(output))
            elif event.name == "leave" and self._label(output) in entered:
                entered.remove(self._label(output))
        return entered[-1] if entered else None

    def wait(self, size: tuple[int, int], scale: int, output: str) -> None:
        """Return when the window is to be of that size and scale, on that output."""
        wanted = (size, scale, output)
        self.client.wait(lambda: (self.size, self.scale, self.output) == wanted, what=f"window of {wanted}")

    def log(self) -> dict[str, list[str]]:
        """What each object heard, in order; neither serials nor numbers of objects are in it."""
        heard = {label: list(self._lines(proxy)) for label, proxy in self._objects.items()}
        return {**self._told, **heard}

    def draw(self, seed: int) -> None:
        """Show the pattern `seed` as large as asked for; returns when it is on the screen."""
        width, height = self.size
        scaled = ((width * self.scale + ONE // 2) // ONE, (height * self.scale + ONE // 2) // ONE)
        layout = layout_for(*scaled, XRGB8888)
        buffer = Buffer(Pool(self.client, self._shm, layout.end), layout, XRGB8888)
        self._buffers.append(buffer)
        paint(buffer, Rectangle(0, 0, *scaled), seed=seed)
        self._viewport.send("set_destination", width, height)
        self.window.show(buffer)

    def close(self) -> None:
        """Give the memory back."""
        for buffer in self._buffers:
            buffer.pool.close()

    def _handle_global(self, values: tuple[Value, ...]) -> None:
        name, interface, version = integer(values[0]), values[1], integer(values[2])
        if interface != "wl_output":
            return
        output = self.client.bind_name(name, "wl_output", min(version, 4))
        label = f"output {sum(key.startswith('output') for key in self._objects) + 1}"
        self.outputs[name] = output
        self._objects[label] = output
        self._objects[f"description of {label}"] = self._described.create("get_xdg_output", output)
        self._told["registry"].append(f"{label} comes")

    def _handle_global_remove(self, values: tuple[Value, ...]) -> None:
        output = self.outputs.pop(integer(values[0]), None)
        if output is not None:
            self._told["registry"].append(f"{self._label(output)} goes")
            output.send("release")

    def _handle_size(self, values: tuple[Value, ...]) -> None:
        self._told["toplevel"].append(f"configure {values}")
        self._resize(values)

    def _lines(self, proxy: Proxy) -> Iterator[str]:
        for event in proxy.events:
            values = (self._label(v) if isinstance(v, Proxy) else repr(v) for v in event.arguments)
            yield " ".join((event.name, *values))

    def _label(self, value: Value) -> str:
        return next((label for label, proxy in self._objects.items() if proxy is value), "unknown")
