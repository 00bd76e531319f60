"""One selection (CLIPBOARD or PRIMARY), kept the same on the X side and on the Wayland side.

Where an X client owns it, we offer a source with its kinds of data; where a Wayland client does, we
own it on the X side.  Data is moved only when somebody asks for it.
"""

import os
from typing import Final

from launcher.xwayland.model.properties import parse_words
from launcher.xwayland.transfer.answers import Answers, notify
from launcher.xwayland.transfer.devices import Device, Offer, Source
from launcher.xwayland.transfer.keeping import Copy
from launcher.xwayland.transfer.reader import MemorySink, PipeSink
from launcher.xwayland.transfer.targets import mimes_of
from launcher.xwayland.transfer.transfers import Transfers
from launcher.xwayland.wayland.seats import Seats
from launcher.xwayland.x11 import requests
from launcher.xwayland.x11.events import SelectionOwnerNotify, SelectionRequest

MAX_TARGETS: Final = 4096
"""Bytes of TARGETS."""
_MAX_AGE: Final = 1 << 30
"""Milliseconds after which a time is not named any more: servers take one of 25 days ago for one to come."""


class Selection:
    """One selection."""

    def __init__(
        self, transfers: Transfers, atom: int, window: int, seats: Seats, *, keeps: bool = False
    ) -> None:
        """`window` is our own; `seats` tell what the compositor lets us offer something for.

        `keeps`: what an X client has is kept when it quits.
        """
        self._transfers = transfers
        self._client = transfers.client
        self.atom = atom
        self._window = window
        self._seats = seats
        self._device: Device | None = None
        self._owner = 0
        self._owners = 0
        """How many there were."""
        self._owned_since: int | None = None
        """The server's time of the last change of owner, ms; None before the first."""
        self._mimes: dict[str, str] = {}
        self._knows_targets = False
        """Whether these are the owner's, and not the last one's."""
        self._source: Source | None = None
        self._is_taken = False
        """Whether the compositor offers our source to others, as it tells whoever has the keyboard."""
        self._was_taken_away = False
        """Whether the compositor has another source instead of that one."""
        self._is_unheard = False
        """Whether an X client has copied something of which the compositor can't know yet.

        It is on its way, or no X window had the keyboard.  Compositors do not listen to serials older
        than those that they have, so it is offered again with the next one.
        """
        self._serial = 0
        """What our source was offered with."""
        self._waits_for_serial = False
        """Whether there is something to offer, but no serial for it."""
        self._seen: list[str] = []
        """What the last offer of a Wayland client's had."""
        self._answers: Answers | None = None
        self._keeps = keeps
        self._copy: Copy | None = None
        """Of what the X client has that owns it."""
        self._kept: Copy | None = None
        """What an X client had that has quit, where that is still what there is."""

    def set_device(self, device: Device | None) -> None:
        """A seat has come, or gone."""
        if self._device is not None:
            self._drop_source()
            self._device.close()
        self._device = device
        if device is not None:
            device.selected = self._handle_selected
            self._ask_targets()

    # The X side.

    def handle_owner(self, event: SelectionOwnerNotify) -> None:
        """The selection has another owner on the X side."""
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.end()
        self._transfers.change_owner(self.atom, ended=event.ended)
        self._owner = event.owner
        self._owners += 1
        self._owned_since = event.selection_time
        self._was_taken_away = False
        if event.owner == self._window:
            if self._answers is not None:
                self._answers.time = event.selection_time
            return
        self._answers = None
        self._knows_targets = False
        self._is_unheard = event.owner != 0
        self._forget_kept()
        if event.owner:
            self._ask_targets()
        elif copy is not None and event.ended and copy.mimes:
            self._keep(copy)
        else:
            # Without its source nobody has the selection, unless the compositor keeps what it was.
            self._drop_source()

    def handle_request(self, request: SelectionRequest) -> None:
        """An X client wants what a Wayland client has."""
        if request.owner == self._window and self._answers is not None:
            self._answers.handle(request)
        else:
            notify(self._transfers, request, 0)

    def focus_came(self) -> None:
        """An X window has the keyboard: now a selection may be set, which perhaps it could not before."""
        has_new = self._kept is not None or (self._has_client_owner and self._answers is None)
        if has_new and not self._is_taken:
            self._offer_source()

    def serial_came(self) -> None:
        """The user has done something that allows to set a selection."""
        if self._waits_for_serial and (self._has_client_owner or self._kept is not None):
            self._offer_source()

    def close(self) -> None:
        """Keeps nothing any more."""
        self._forget_kept()

    def _keep(self, copy: Copy) -> None:
        """The client has quit: we stand for it, with what it had; our source stays what it is."""
        self._kept = copy
        self._answers = Answers(self._transfers, copy, self._client.now())
        self._own(self._window)

    def _forget_kept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    @property
    def _has_client_owner(self) -> bool:
        return self._owner not in (0, self._window)

    # The Wayland side.

    def _ask_targets(self) -> None:
        if not self._has_client_owner:
            return
        owners = self._owners

        def take(data: bytes | None) -> None:
            if owners == self._owners:
                self._transfers.names.find_names(parse_words(data or b""), found)

        def found(targets: list[str]) -> None:
            if owners == self._owners:
                # Who has no TARGETS has text as a rule: xterm's oldest relatives.
                self._mimes = mimes_of(targets or ["STRING"])
                self._knows_targets = True
                self._offer_source()
                if self._keeps:
                    self._copy = Copy(self._transfers, self.atom, self._mimes)

        self._transfers.read(self.atom, self._client.atoms["TARGETS"], MemorySink(MAX_TARGETS, take))

    def _offer_source(self) -> None:
        serial = self._seats.last_serial
        if self._device is None or not self._knows_targets:
            return
        # Compositors take one source for each serial; until the next one that one gives what there is now.
        self._waits_for_serial = serial == 0 or (self._source is not None and serial == self._serial)
        if not self._waits_for_serial and self._mimes:
            self._set_source(self._device, serial)

    def _set_source(self, device: Device, serial: int) -> None:
        owners = self._owners
        source = device.create_source(list(self._mimes), self._send)

        def cancelled() -> None:
            if self._source is source:
                self._source = None
                self._is_taken = False
                # What another X client has copied since then was not.
                self._was_taken_away = owners == self._owners

        source.cancelled = cancelled
        # A source is good for one set_selection.  Compositors that keep texts would offer theirs if the last
        # source were gone before.
        device.set_selection(source, serial)
        self._drop_source()
        self._source, self._serial = source, serial
        if self._seats.keyboard_surface is not None:
            self._settle(device)

    def _settle(self, device: Device) -> None:
        owners = self._owners

        def settled() -> None:
            if owners == self._owners and self._is_taken:
                self._is_unheard = False

        device.settle(settled)

    def _send(self, mime: str, fd: int) -> None:
        if self._kept is not None:
            self._kept.give(mime, fd)
            return
        target = self._mimes.get(mime)
        if target is None or not self._has_client_owner:
            os.close(fd)
            return
        sink = PipeSink(self._transfers.loop, fd)
        self._transfers.names.find_atoms(
            [target], lambda atoms: self._transfers.read(self.atom, atoms[0], sink)
        )

    def _drop_source(self) -> None:
        self._is_taken = False
        if self._source is not None:
            self._source.destroy()
            self._source = None

    def _handle_selected(self, offer: Offer | None) -> None:
        """A Wayland client has the selection, or nobody, or we ourselves."""
        self._is_taken = offer is not None and offer.is_own
        if self._is_taken:
            return
        if offer is None:
            if self._kept is not None and self._source is not None:
                # The compositor has not heard of it yet.
                return
            self._forget_kept()
            if self._owner == self._window:
                self._own(0)
            self._answers = None
            return
        if self._is_repeated(offer):
            return
        self._forget_kept()
        self._answers = Answers(self._transfers, offer, self._client.now())
        self._drop_source()
        self._own(self._window)

    def _own(self, window: int) -> None:
        """Makes a window the owner on the X side, unless somebody is it of whom we do not know yet.

        Servers refuse what is older than the last change.  So a change that we have not heard of stays, by
        our naming the time of the last one that we have, whatever time it is by now.
        """
        time, since = self._client.time, self._owned_since
        if since is not None and (time - since) % (1 << 32) < _MAX_AGE:
            time = since
        self._client.request(requests.set_selection_owner(window, self.atom, time))

    def _is_repeated(self, offer: Offer) -> bool:
        """Whether an offer is only the one from before what an X client has copied.

        Whoever gets the keyboard is told what there is, not whether that is new.  So the X client's
        stays where nobody has replaced it, and the compositor has not heard of it or offers what it did.
        """
        seen, self._seen = self._seen, offer.mimes
        is_known = self._is_unheard or seen == offer.mimes
        return self._has_client_owner and not self._was_taken_away and is_known
