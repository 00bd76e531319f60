"""Follows Xwayland's wl_surfaces: what is attached, when it is committed, whose they are.

A surface that will show an X window may not be committed with a buffer before it has a role and
the compositor has configured it (xdg_surface), but Xwayland does not know of roles and commits at
once.  So the contents of a new surface are held back until its owner lets them go on.

Of too many surfaces (`limits.MAX_SURFACES`) the compositor does not hear at all.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from crossdomain.wire.codec import Value, encode_message
from launcher.xwayland.limits import MAX_SURFACES
from launcher.xwayland.wayland.entries import Call, Entry, Verdict
from launcher.xwayland.wayland.mediator import Mediator
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.scaling import Scaling

_EVERYTHING: Final = (0, 0, 0x7FFFFFFF, 0x7FFFFFFF)
"""Damage of a whole surface."""
_WORD: Final = 0xFFFFFFFF
_FIXED: Final = 256
"""One px, 24.8 fixed."""
_WHOLE: Final = (-_FIXED,) * 4
"""wp_viewport.set_source: all of the contents."""
_HAS_ROOM: Final = MAX_SURFACES * 4 // 5
"""Surfaces beyond which windows that had to do without one are not tried again."""
_HAS_OFFSET: Final = 5
"""Since when wl_surface.offset says what the arguments of wl_surface.attach say before."""


class Owner(Protocol):
    """Who gave a surface its role."""

    def surface_commits(self, surface: "Surface") -> None:
        """Xwayland's wl_surface.commit is the next request; the surface's size is the new one."""
        ...

    def surface_destroyed(self, surface: "Surface") -> None:
        """Xwayland's wl_surface.destroy is the next request: the role has to go before it."""
        ...


class Painter(Protocol):
    """Who shows something else instead of a surface's contents."""

    def contents_changed(self) -> None:
        """Xwayland has committed contents, which the compositor does not get."""
        ...


class Listener(Protocol):
    """Who finds owners for new surfaces."""

    def surface_created(self, surface: "Surface") -> None:
        """Xwayland has made a surface; its contents are held back."""
        ...

    def surface_numbered(self, surface: "Surface", serial: int) -> None:
        """xwayland_surface_v1.set_serial: an X window will name the same serial."""
        ...

    def surface_destroyed(self, surface: "Surface") -> None:
        """The surface is gone; its owner was told before."""
        ...


class Buffer:
    """A wl_buffer of Xwayland's: its size, px, and where it is shown."""

    __slots__ = ("height", "surface", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.surface: Surface | None = None


class Surface:
    """One wl_surface of Xwayland's."""

    __slots__ = (
        "_buffer_id",
        "_committed",
        "_dirty",
        "_frames",
        "_has_region",
        "_is_limited",
        "_offset",
        "_shown",
        "_surfaces",
        "_viewport",
        "alive",
        "entering",
        "entry",
        "has_viewport",
        "height",
        "is_held",
        "is_surplus",
        "owner",
        "painter",
        "width",
    )

    def __init__(self, surfaces: "Surfaces", entry: Entry, *, is_surplus: bool = False) -> None:
        self._surfaces = surfaces
        self.entry = entry
        self.is_surplus = is_surplus
        """Whether the compositor does not know of it, so that nobody may own it: there were too many."""
        self._viewport: Proxy | None = None
        self._shown = (0, 0)
        """The size that the viewport was told last, px."""
        self._offset = (0, 0)
        """How far what is attached next moves the surface, logical px of the compositor."""
        self.owner: Owner | None = None
        self.painter: Painter | None = None
        """Who draws what the compositor gets, where that is not what Xwayland attaches."""
        self.entering: Callable[[], None] | None = None
        """Called once, when the contents that the compositor gets first are about to go on."""
        self.has_viewport = False
        """Whether Xwayland has made a wp_viewport for it, the only one that it may have."""
        self.alive = True
        self.is_held = True
        """Whether its contents are held back."""
        self.width = 0
        """Of the buffer that was attached last, also where that is held back, px; 0 where there is none."""
        self.height = 0
        self._buffer_id = 0
        self._committed = False
        self._frames: list[int] = []
        self._dirty = False
        self._has_region = False
        """Whether Xwayland has told where it takes input (the input shape)."""
        self._is_limited = False
        """Whether we have, where Xwayland has not."""

    def __repr__(self) -> str:
        return repr(self.entry)

    @property
    def has_content(self) -> bool:
        """Whether Xwayland has committed a buffer that is held back."""
        return self._committed and self._buffer_id != 0

    def release(self) -> None:
        """Lets its contents go on, those that were held back first."""
        if not self.is_held or not self.alive:
            return
        self.is_held = False
        frames, self._frames = self._frames, []
        if self._buffer_id:
            self._surfaces.replay(self, "attach", self._buffer_id, 0, 0)
            self._surfaces.replay(self, "damage", *_EVERYTHING)
        for callback_id in frames:
            self._surfaces.replay(self, "frame", callback_id)
        if self._committed:
            self._surfaces.replay(self, "commit")

    def hold(self) -> None:
        """Takes its contents away from the compositor, as if it were new, and holds them back again."""
        if self.is_held or not self.alive:
            return
        self._surfaces.clear(self)
        self.is_held = True
        self._dirty = False
        self._committed = self._buffer_id != 0

    def pulse(self) -> None:
        """Answers the wl_surface.frame that is held back, so that Xwayland commits again."""
        frames, self._frames = self._frames, []
        for callback_id in frames:
            self._surfaces.answer_frame(callback_id)

    def commit(self) -> None:
        """Applies what we have asked for of the surface: now, or with what Xwayland is about to commit."""
        if self.alive and not self._dirty:
            self._surfaces.commit(self)

    def show(self, buffer: Proxy) -> None:
        """Shows a wl_buffer of ours, of the size that Xwayland's had last (`painter`)."""
        if self.alive and not self.is_held:
            self._enter()
            self._fit()
            self._surfaces.show(self, buffer, self.take_offset())

    def claim(self, blank: Proxy, viewporter: Proxy, size: tuple[int, int], inset: tuple[int, int]) -> None:
        """Lets the compositor find a place for more than the contents; called by `entering`.

        Args:
            blank: a wl_buffer, which is seen until the contents come: with the next request.
            viewporter: wp_viewporter.
            size: of the place, px.
            inset: how far inside its upper left corner the contents are, px.
        """
        viewport = self._viewport or viewporter.create("get_viewport", self.entry)
        viewport.send("set_source", *_WHOLE)
        viewport.send("set_destination", *size)
        self._surfaces.show(self, blank, (0, 0))
        if self._surfaces.viewporter is None:
            viewport.send("destroy")
        else:
            self._viewport = viewport
            self._shown = (0, 0)
        self._surfaces.damage(self)
        # As frames' places are converted, which are left of the contents and above them.
        shrink = self._surfaces.scaling.shrink
        self._offset = (-shrink(-inset[0]), -shrink(-inset[1]))

    def take_offset(self) -> tuple[int, int]:
        """Returns how far what is attached next moves the surface; that is done with then."""
        offset, self._offset = self._offset, (0, 0)
        return offset

    def set_opaque_region(self, region: Proxy | None) -> None:
        """Says which part lets nothing through, None for no part; counts from the next commit on."""
        if self.alive:
            self._surfaces.set_region(self, "set_opaque_region", region)

    def limit_input(self, region: Proxy | None) -> None:
        """Takes input in a wl_region alone, None: everywhere, unless Xwayland says where; to be committed."""
        self._is_limited = region is not None
        if self.alive and not self._has_region:
            self._surfaces.set_region(self, "set_input_region", region)

    # For `Surfaces`.

    def handle_attach(self, buffer_id: int, buffer: Buffer | None) -> Verdict:
        """wl_surface.attach."""
        self.width = 0 if buffer is None else buffer.width
        self.height = 0 if buffer is None else buffer.height
        if buffer is not None:
            buffer.surface = self
        replaced, self._buffer_id = self._buffer_id, buffer_id
        if not self.is_held:
            self._dirty = True
            if self.painter is None:
                if buffer is not None:
                    self._enter()
                return Verdict.PASS
            if buffer is not None:
                self._surfaces.release_buffer(buffer_id)
                return Verdict.DROP
            return Verdict.PASS
        if replaced and self._committed and replaced != buffer_id:
            # The compositor never gets it, so it can't release it.
            self._surfaces.release_buffer(replaced)
        return Verdict.DROP

    def handle_frame(self, callback_id: int) -> Verdict:
        """wl_surface.frame."""
        if not self.is_held:
            self._dirty = True
            return Verdict.PASS
        self._frames.append(callback_id)
        return Verdict.DROP

    def handle_commit(self) -> Verdict:
        """wl_surface.commit."""
        if self.is_held:
            self._committed = True
            if self.owner is not None:
                self.owner.surface_commits(self)
            return Verdict.DROP
        self._dirty = False
        if self.owner is not None:
            self.owner.surface_commits(self)
        if self.painter is None:
            self._fit()
        else:
            self.painter.contents_changed()
        return Verdict.PASS

    def handle_input_region(self, region_id: int) -> Verdict:
        """wl_surface.set_input_region."""
        self._has_region = region_id != 0
        return Verdict.DROP if self._is_limited and not self._has_region else Verdict.PASS

    def _enter(self) -> None:
        entering, self.entering = self.entering, None
        if entering is not None:
            entering()

    def _fit(self) -> None:
        """Has the contents shown in the size that they have on the X screen (`scaling`)."""
        size = (self.width, self.height)
        if not self.width or self._shown == size:
            return
        if self._viewport is None:
            self._viewport = self._surfaces.create_viewport(self)
        if self._viewport is not None:
            self._shown = size
            fit = self._surfaces.scaling.fit
            shown = (fit(self.width), fit(self.height))
            source = _WHOLE if shown == size else (0, 0, shown[0] * _FIXED, shown[1] * _FIXED)
            self._viewport.send("set_source", *source)
            self._viewport.send("set_destination", *shown)

    def handle_destroy(self) -> list[int]:
        """wl_surface.destroy; returns the callbacks that the compositor does not know of."""
        if self.owner is not None:
            self.owner.surface_destroyed(self)
        if self.has_content and self.is_held:
            # The compositor never got it, so it can't release it, and Xwayland would keep it forever.
            self._surfaces.release_buffer(self._buffer_id)
        if self._viewport is not None:
            self._viewport.send("destroy")
        self.owner = None
        self.painter = None
        self.alive = False
        frames, self._frames = self._frames, []
        return frames

    def forget_buffer(self, buffer_id: int) -> None:
        """wl_buffer.destroy of what may be held back."""
        if self._buffer_id == buffer_id:
            self._buffer_id = 0
            self._committed = self._committed and not self.is_held


class Surfaces:
    """All surfaces of Xwayland's, and what belongs to them."""

    def __init__(self, mediator: Mediator, listener: Listener) -> None:
        self._mediator = mediator
        self._listener = listener
        self._known = 0
        self.viewporter: Proxy | None = None
        """wp_viewporter, where contents have to be fitted."""
        mediator.request_routes.update(
            {
                ("wl_compositor", "create_surface"): self._handle_create,
                ("wl_surface", "destroy"): self._handle_destroy,
                ("wl_surface", "attach"): self._handle_attach,
                ("wl_surface", "frame"): self._handle_frame,
                ("wl_surface", "commit"): self._handle_commit,
                ("wl_surface", "set_input_region"): self._handle_input_region,
                ("wl_pointer", "set_cursor"): self._handle_cursor,
                ("zwp_tablet_tool_v2", "set_cursor"): self._handle_cursor,
                ("wp_viewporter", "get_viewport"): self._handle_viewport,
                ("wl_shm_pool", "create_buffer"): self._handle_shm_buffer,
                ("zwp_linux_buffer_params_v1", "create_immed"): self._handle_dmabuf,
                ("wp_single_pixel_buffer_manager_v1", "create_u32_rgba_buffer"): self._handle_pixel,
                ("wl_buffer", "destroy"): self._handle_buffer_destroy,
            }
        )

    @property
    def has_room(self) -> bool:
        """Whether windows may be mapped once more to get another surface (`Surface.is_surplus`)."""
        return self._known < _HAS_ROOM

    def find(self, client_id: int) -> Surface | None:
        """Returns the surface that Xwayland calls `client_id`."""
        return _surface_of(self._mediator.find_client(client_id))

    def find_host(self, host_id: int) -> Surface | None:
        """Returns the surface that the compositor calls `host_id`."""
        return _surface_of(self._mediator.find_host(host_id))

    def handle_shell_request(self, call: Call) -> Verdict:
        """Serves xwayland_shell_v1 (`globals.Globals.emulate`)."""
        if call.message.name == "get_xwayland_surface":
            surface = self.find(call.number(1))
            entry = self._mediator.create_local(
                "xwayland_surface_v1", call.entry.version, call.number(0), self._handle_xwayland_surface
            )
            entry.state = surface
        return Verdict.DROP

    # For `Surface`.

    @property
    def scaling(self) -> Scaling:
        """What lies between contents' px and the compositor's."""
        return self._mediator.scaling

    def create_viewport(self, surface: Surface) -> Proxy | None:
        """Makes a surface's viewport, where contents have to be fitted."""
        return None if self.viewporter is None else self.viewporter.create("get_viewport", surface.entry)

    def replay(self, surface: Surface, name: str, *values: Value) -> None:
        """Handles a request as if Xwayland sent it now; ids in `values` are Xwayland's."""
        self._mediator.handle_request(self._encode(name, surface.entry.client_id, values))

    def commit(self, surface: Surface) -> None:
        """Sends a wl_surface.commit of our own."""
        self._mediator.request_for(surface.entry, "commit")

    def show(self, surface: Surface, buffer: Proxy, offset: tuple[int, int]) -> None:
        """Commits a wl_buffer of our own, and moves the surface, by logical px of the compositor."""
        self._mediator.request_for(
            surface.entry, "attach", buffer.entry.host_id, *self._shift(surface, offset)
        )
        self.damage(surface)
        self.commit(surface)

    def damage(self, surface: Surface) -> None:
        """All of it is to be shown anew, with the next commit."""
        self._mediator.request_for(surface.entry, "damage", *_EVERYTHING)

    def _shift(self, surface: Surface, offset: tuple[int, int]) -> tuple[int, int]:
        """Moves a surface with its next commit; returns the last arguments of the attach to come."""
        if offset == (0, 0) or surface.entry.version < _HAS_OFFSET:
            return offset
        self._mediator.request_for(surface.entry, "offset", *offset)
        return (0, 0)

    def set_region(self, surface: Surface, name: str, region: Proxy | None) -> None:
        """Sends a request that names a wl_region of our own, None for none."""
        self._mediator.request_for(surface.entry, name, 0 if region is None else region.entry.host_id)

    def clear(self, surface: Surface) -> None:
        """Commits no buffer at all."""
        self._mediator.request_for(surface.entry, "attach", 0, 0, 0)
        self._mediator.request_for(surface.entry, "commit")

    def answer_frame(self, callback_id: int) -> None:
        """Sends Xwayland a wl_callback.done of our own."""
        now = time.monotonic_ns() // 1_000_000 & _WORD
        self._mediator.send_event("wl_callback", callback_id, "done", now)
        self._mediator.free_client_id(callback_id)

    def release_buffer(self, client_id: int) -> None:
        """Sends Xwayland a wl_buffer.release of our own."""
        self._mediator.send_event("wl_buffer", client_id, "release")

    def _encode(self, name: str, object_id: int, values: tuple[Value, ...]) -> bytes:
        messages = self._mediator.describe("wl_surface").requests
        return encode_message(next(m for m in messages if m.name == name), object_id, *values)

    # Requests.

    def _handle_create(self, call: Call) -> Verdict:
        if self._known >= MAX_SURFACES:
            entry = self._mediator.create_local(
                "wl_surface", call.entry.version, call.number(0), self._handle_surplus
            )
            self._add(Surface(self, entry, is_surplus=True))
            return Verdict.DROP
        # The entry is made when the request goes on; it is found by its id until then.
        self._mediator.expect(call.number(0), self._created)
        return Verdict.PASS

    def _created(self, entry: Entry) -> None:
        self._known += 1
        self._add(Surface(self, entry))

    def _add(self, surface: Surface) -> None:
        surface.entry.state = surface
        self._listener.surface_created(surface)

    def _handle_destroy(self, call: Call) -> Verdict:
        surface = _surface_of(call.entry)
        if surface is not None:
            self._known -= not surface.is_surplus
            for callback_id in surface.handle_destroy():
                self._mediator.free_client_id(callback_id)
            self._listener.surface_destroyed(surface)
        return Verdict.PASS

    def _handle_surplus(self, call: Call) -> Verdict:
        """Takes the requests of a surface that the compositor does not know of."""
        match call.message.name:
            case "destroy":
                self._handle_destroy(call)
            case "frame":
                self._handle_frame(call)
            case "attach":
                self._withdraw_buffer(call.number(0))
            case _:
                self._mediator.ignore(call)
        return Verdict.DROP

    def _withdraw_buffer(self, client_id: int) -> None:
        """A buffer that nobody will see costs the compositor nothing, either."""
        entry = self._mediator.find_client(client_id)
        if entry is not None and entry.host_id:
            self._mediator.withdraw(entry)
            self.release_buffer(client_id)

    def _handle_attach(self, call: Call) -> Verdict:
        surface = _surface_of(call.entry)
        if surface is None:
            return Verdict.PASS
        entry = self._mediator.find_client(call.number(0))
        state = None if entry is None else entry.state
        verdict = surface.handle_attach(call.number(0), state if isinstance(state, Buffer) else None)
        offset = (0, 0) if verdict is Verdict.DROP else self._shift(surface, surface.take_offset())
        if offset != (0, 0):
            call.values[1:] = offset
            return Verdict.CHANGED
        return verdict

    def _handle_viewport(self, call: Call) -> Verdict:
        surface = self.find(call.number(1))
        if surface is not None:
            surface.has_viewport = True
        return Verdict.PASS

    def _handle_frame(self, call: Call) -> Verdict:
        surface = _surface_of(call.entry)
        return Verdict.PASS if surface is None else surface.handle_frame(call.number(0))

    def _handle_commit(self, call: Call) -> Verdict:
        surface = _surface_of(call.entry)
        return Verdict.PASS if surface is None else surface.handle_commit()

    def _handle_input_region(self, call: Call) -> Verdict:
        surface = _surface_of(call.entry)
        return Verdict.PASS if surface is None else surface.handle_input_region(call.number(0))

    def _handle_cursor(self, call: Call) -> Verdict:
        surface = self.find(call.number(1))
        if surface is not None:
            surface.release()
        return Verdict.PASS

    def _handle_xwayland_surface(self, call: Call) -> Verdict:
        surface = call.entry.state
        if call.message.name == "set_serial" and isinstance(surface, Surface) and surface.alive:
            self._listener.surface_numbered(surface, call.number(1) << 32 | call.number(0))
        return Verdict.DROP

    # Buffers.

    def _handle_shm_buffer(self, call: Call) -> Verdict:
        return self._expect_buffer(call.number(0), call.number(2), call.number(3))

    def _handle_dmabuf(self, call: Call) -> Verdict:
        return self._expect_buffer(call.number(0), call.number(1), call.number(2))

    def _handle_pixel(self, call: Call) -> Verdict:
        return self._expect_buffer(call.number(0), 1, 1)

    def _expect_buffer(self, client_id: int, width: int, height: int) -> Verdict:
        def created(entry: Entry) -> None:
            entry.state = Buffer(width, height)

        self._mediator.expect(client_id, created)
        return Verdict.PASS

    def _handle_buffer_destroy(self, call: Call) -> Verdict:
        state = call.entry.state
        if isinstance(state, Buffer) and state.surface is not None:
            state.surface.forget_buffer(call.entry.client_id)
        return Verdict.PASS


def _surface_of(entry: Entry | None) -> Surface | None:
    state = None if entry is None or entry.zombie else entry.state
    return state if isinstance(state, Surface) else None
