"""Moves messages between Xwayland and the compositor, and translates their object ids.

Sans-IO: bytes and fds come in, and go out through two `Outlet`s.  Most messages pass with their
ids exchanged in place; those that a part asked for (`Routes`) are decoded and shown to it first.

Xwayland is started by us and trusted as much as any program; what it does wrong ends the session
(`GuestFault`), and so does what the compositor does wrong (`HostFault`).
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from crossdomain.errors import GuestFault, HostFault, LocalError
from crossdomain.wire.codec import DISPLAY_ID, HEADER_SIZE, SERVER_ID_START, Value, encode_message
from crossdomain.wire.engine import Direction
from crossdomain.wire.faults import WireFault
from crossdomain.wire.tables import ArgumentKind, Interface, Message, Tables
from launcher.xwayland.wayland.batch import Batch, Dropped, Held, Ids, Missing, Outlet
from launcher.xwayland.wayland.entries import Call, Entry, Handler, Plan, Plans, Routes, Verdict
from launcher.xwayland.wayland.proxy import Proxy
from launcher.xwayland.wayland.scaling import Scaling

_HEADER_WORDS: Final = HEADER_SIZE // 4


class Mediator:
    """One connection of Xwayland's, and our own objects on it."""

    def __init__(self, tables: Tables, to_host: Outlet, to_client: Outlet) -> None:
        self._tables = tables
        self._to_host = to_host
        self._to_client = to_client
        self.request_routes: Routes = {}
        """Who wants to see which requests of Xwayland's; to be complete before the first message."""
        self.event_routes: Routes = {}
        """Who wants to see which events for Xwayland's objects; likewise."""
        self._request_plans = Plans(tables, Direction.REQUEST, self.request_routes)
        self._event_plans = Plans(tables, Direction.EVENT, self.event_routes)
        display = Entry("wl_display", 1, client_id=DISPLAY_ID, host_id=DISPLAY_ID)
        self._from_client: dict[int, Entry] = {DISPLAY_ID: display}
        self._from_host: dict[int, Entry] = {DISPLAY_ID: display}
        self._host_ids = Ids(DISPLAY_ID + 1)
        self._client_server_ids = Ids(SERVER_ID_START)
        self._expected: dict[int, Callable[[Entry], None]] = {}
        self._display = Proxy(self, tables.interface("wl_display"), display)
        self.is_holding = False
        """Whether an event waits: what the compositor sends is not to be handled before `go_on`."""
        self.went_on: Callable[[], None] = lambda: None
        """Called when the compositor's events are to be handled again, those that wait first."""

    @property
    def display(self) -> Proxy:
        """wl_display, for requests of our own."""
        return self._display

    def settle(self, settled: Callable[[], None]) -> None:
        """Calls `settled` when the compositor has handled all that it was sent, and its answers have come."""
        callback = self._display.create("sync")
        callback.handlers["done"] = lambda _values, _fds: settled()

    @property
    def scaling(self) -> Scaling:
        """What lies between px of the X screen and the compositor's."""
        return self._request_plans.scaling

    def scale(self, scaling: Scaling) -> None:
        """From now on lengths are converted; to be called before Xwayland's first request."""
        self._request_plans.scale(scaling)
        self._event_plans.scale(scaling)

    # Messages that come in.

    def handle_requests(self, data: bytes, fds: deque[int]) -> int:
        """Takes what Xwayland sent; returns how many bytes were whole messages.

        Fds are taken from the front of `fds` by the messages that they belong to.
        Raises GuestFault where Xwayland broke the protocol.
        """
        try:
            return self._walk(Direction.REQUEST, data, fds)
        except (WireFault, Missing) as fault:
            raise GuestFault(f"Xwayland broke the protocol: {fault!r}") from None

    def handle_events(self, data: bytes, fds: deque[int]) -> int:
        """Takes what the compositor sent; returns how many bytes were whole messages.

        Raises HostFault where the compositor broke the protocol, or told of an error.
        """
        try:
            return self._walk(Direction.EVENT, data, fds)
        except (WireFault, Missing) as fault:
            raise HostFault(f"the compositor broke the protocol: {fault!r}") from None

    def handle_request(self, data: bytes) -> None:
        """Takes one request that Xwayland sent earlier, and that was dropped then; it has no fds."""
        if self._walk(Direction.REQUEST, data, deque()) != len(data):
            raise LocalError("not one whole request")

    def go_on(self) -> None:
        """Whatever an event has waited for (`Verdict.HOLD`) has come about."""
        if self.is_holding:
            self.is_holding = False
            self.went_on()

    # What parts look up and send.

    def find_client(self, client_id: int) -> Entry | None:
        """Returns the object that Xwayland calls `client_id`."""
        return self._from_client.get(client_id)

    def find_host(self, host_id: int) -> Entry | None:
        """Returns the object that the compositor calls `host_id`."""
        return self._from_host.get(host_id)

    def find_own(self, host_id: int) -> Proxy:
        """Returns the object of our own that the compositor calls `host_id`."""
        entry = self._from_host.get(host_id)
        if entry is None or entry.proxy is None:
            raise HostFault(f"{host_id} is no object of ours")
        return entry.proxy

    def expect(self, client_id: int, created: Callable[[Entry], None]) -> None:
        """Calls `created` when the request that a handler is looking at has made that object."""
        self._expected[client_id] = created

    def create_local(self, interface: str, version: int, client_id: int, handler: Handler) -> Entry:
        """Makes an object that only Xwayland knows of; `handler` gets its requests and drops them."""
        entry = Entry(interface, version, client_id=client_id)
        entry.local = handler
        self._add_client(entry)
        return entry

    def withdraw(self, entry: Entry) -> None:
        """Destroys an object of Xwayland's on the compositor's side alone: from now on it is ignored."""
        self.request_for(entry, "destroy")
        # Events for it may be on their way, and its id is taken until the compositor says otherwise.
        self._from_host[entry.host_id] = Entry(entry.interface, entry.version, host_id=entry.host_id)
        entry.host_id = 0
        entry.local = self.ignore

    def ignore(self, call: Call) -> Verdict:
        """Takes a request that nothing is to come of: what it creates is known to Xwayland alone."""
        for fd in call.fds:
            os.close(fd)
        for number, argument in enumerate(call.message.arguments):
            if argument.kind is ArgumentKind.NEW_ID and argument.interface is not None:
                self.create_local(argument.interface, call.entry.version, call.number(number), self.ignore)
        return Verdict.DROP

    def send_event(self, interface: str, client_id: int, name: str, *values: Value) -> None:
        """Sends Xwayland an event of the object that it calls `client_id`; ids in `values` are Xwayland's."""
        for message in self.describe(interface).events:
            if message.name == name:
                self._to_client.append(encode_message(message, client_id, *values))
                return
        raise LocalError(f"{interface} has no event {name}")

    def request_for(self, entry: Entry, name: str, *values: Value) -> None:
        """Sends a request of our own for an object of Xwayland's; ids in `values` are the compositor's."""
        for message in self.describe(entry.interface).requests:
            if message.name == name:
                plain = list(values)
                self.scale_request(entry.interface, name, plain)
                self._to_host.append(encode_message(message, entry.host_id, *plain))
                return
        raise LocalError(f"{entry.interface} has no request {name}")

    def free_client_id(self, client_id: int) -> None:
        """Tells Xwayland that an id of its own, of which the compositor does not know, is free again."""
        self._from_client.pop(client_id, None)
        self.send_event("wl_display", DISPLAY_ID, "delete_id", client_id)

    # `proxy.Sender`.

    def create_own(self, interface: Interface, version: int) -> Proxy:
        """See `proxy.Sender`."""
        return self._adopt(interface, version, self._host_ids.take())

    def describe(self, interface: str) -> Interface:
        """See `proxy.Sender`."""
        return self._tables.interface(interface)

    def scale_request(self, interface: str, name: str, values: list[Value]) -> None:
        """See `proxy.Sender`."""
        scaler = self.scaling.of_request(interface, name)
        if scaler is not None:
            scaler(values)

    def send_own(self, data: bytes, fds: list[int]) -> None:
        """See `proxy.Sender`."""
        for fd in fds:
            self._to_host.append_fd(fd)
        self._to_host.append(data)

    def _adopt(self, interface: Interface, version: int, host_id: int) -> Proxy:
        entry = Entry(interface.name, version, host_id=host_id)
        entry.proxy = Proxy(self, interface, entry)
        self._from_host[host_id] = entry
        return entry.proxy

    # Both directions.

    def _walk(self, direction: Direction, data: bytes, fds: deque[int]) -> int:
        outlet = self._to_host if direction is Direction.REQUEST else self._to_client
        step = self._step_request if direction is Direction.REQUEST else self._step_event
        run = Batch(outlet, bytearray(data[: len(data) & ~3]), fds)
        words = run.words
        position = 0
        end = len(words)
        try:
            while end - position >= _HEADER_WORDS:
                size = words[position + 1] >> 18
                if size < _HEADER_WORDS or words[position + 1] & 0x30000:
                    raise _broken(direction, f"object {words[position]}: a message of a wrong size")
                if size > end - position:
                    break
                step(run, position, position + size)
                position += size
            run.flush(position)
        except Held:
            # Its bytes were not taken.
            self.is_holding = True
        finally:
            run.release()
        return position * 4

    # Requests.

    def _step_request(self, run: Batch, position: int, end: int) -> None:
        words = run.words
        entry = self._from_client.get(words[position])
        if entry is None or entry.zombie:
            raise GuestFault(f"Xwayland used the unknown object {words[position]}")
        plan = self._request_plans.find(entry.interface, words[position + 1] & 0xFFFF)
        if plan is None:
            raise GuestFault(f"Xwayland sent an unknown request to {entry!r}")
        if plan.is_plain and entry.host_id:
            try:
                self._translate_request(run, position, end, entry, plan)
            except Dropped:
                run.flush(position)
                run.begin = end
                self.ignore(Call(entry, plan.message, bytes(run.view[position * 4 : end * 4]), []))
            return
        run.flush(position)
        data = bytes(run.view[position * 4 : end * 4])
        call = Call(entry, plan.message, data, run.take_fds(plan.fds))
        verdict = self._show_request(call, plan)
        try:
            if verdict is Verdict.PASS and plan.fixed and plan.scaler is None:
                self._translate_request(run, position, end, entry, plan)
                self._attach(run.outlet, call.fds)
                run.flush(end)
            elif verdict is not Verdict.DROP:
                changed = self._rewrite_request(call, plan)
                self._attach(run.outlet, call.fds)
                run.outlet.append(changed)
        except Dropped:
            self.ignore(call)
        run.begin = end
        self._tell_created()

    def _tell_created(self) -> None:
        """Tells who expected an object; its request has gone on, so that it may be used."""
        expected, self._expected = self._expected, {}
        for client_id, created in expected.items():
            entry = self._from_client.get(client_id)
            if entry is not None:
                created(entry)

    def _show_request(self, call: Call, plan: Plan) -> Verdict:
        entry = call.entry
        if entry.local is not None:
            entry.local(call)
            if plan.destructor:
                self.free_client_id(entry.client_id)
            return Verdict.DROP
        return Verdict.PASS if plan.handler is None else plan.handler(call)

    def _translate_request(self, run: Batch, position: int, end: int, entry: Entry, plan: Plan) -> None:
        """Exchanges the ids of a request where it stands; raises Dropped where it can't go on."""
        words = run.words
        if end - position < plan.words:
            raise GuestFault(f"Xwayland sent a truncated request to {entry!r}")
        words[position] = entry.host_id
        for offset in plan.objects:
            if words[position + offset]:
                words[position + offset] = self._host_id(words[position + offset])
        if plan.destructor:
            self._destroy(entry)
        if plan.created is not None:
            new = Entry(plan.created, entry.version, client_id=words[position + plan.new_id])
            words[position + plan.new_id] = self._create(new)

    def _rewrite_request(self, call: Call, plan: Plan) -> bytes:
        """Returns a request with its ids exchanged and its lengths converted; raises Dropped."""
        values = call.values
        if plan.scaler is not None:
            plan.scaler(values)
        # Those that it names first: where one is unknown there, nothing must have been made.
        for number, argument in enumerate(plan.message.arguments):
            value = values[number]
            if argument.kind is ArgumentKind.OBJECT and isinstance(value, int) and value:
                values[number] = self._host_id(value)
        for number, argument in enumerate(plan.message.arguments):
            value = values[number]
            if argument.kind is ArgumentKind.NEW_ID and isinstance(value, int) and value:
                if argument.interface is None:  # wl_registry.bind
                    new = Entry(call.text(number - 2), call.number(number - 1), client_id=value)
                else:
                    new = Entry(argument.interface, call.entry.version, client_id=value)
                values[number] = self._create(new)
        if plan.destructor:
            self._destroy(call.entry)
        return encode_message(plan.message, call.entry.host_id, *values)

    def _host_id(self, client_id: int) -> int:
        """Returns the compositor's id of an object; raises Dropped where only Xwayland knows of it."""
        entry = self._from_client.get(client_id)
        if entry is None or entry.zombie:
            raise GuestFault(f"Xwayland named the unknown object {client_id}")
        if not entry.host_id:
            raise Dropped
        return entry.host_id

    def _create(self, entry: Entry) -> int:
        """Takes in a new object of Xwayland's; returns the compositor's id of it."""
        self._add_client(entry)
        entry.host_id = self._host_ids.take()
        self._from_host[entry.host_id] = entry
        return entry.host_id

    def _add_client(self, entry: Entry) -> None:
        if entry.client_id in self._from_client or not 0 < entry.client_id < SERVER_ID_START:
            raise GuestFault(f"Xwayland can't create the object {entry.client_id}")
        self._from_client[entry.client_id] = entry

    def _destroy(self, entry: Entry) -> None:
        entry.zombie = True
        if entry.host_id >= SERVER_ID_START:
            # Nobody tells when the compositor uses such an id again; Xwayland's may be used at once.
            del self._from_client[entry.client_id]
            self._client_server_ids.give_back(entry.client_id)
            entry.client_id = 0

    # Events.

    def _step_event(self, run: Batch, position: int, end: int) -> None:
        words = run.words
        entry = self._from_host.get(words[position])
        if entry is None:
            run.flush(position)
            run.begin = end
            return
        plan = self._event_plans.find(entry.interface, words[position + 1] & 0xFFFF)
        if plan is None:
            raise HostFault(f"the compositor sent an unknown event of {entry!r}")
        if plan.is_plain and entry.client_id and entry.host_id != DISPLAY_ID:
            try:
                self._translate_event(run, position, end, entry, plan)
            except Dropped:
                run.flush(position)
                run.begin = end
            return
        run.flush(position)
        data = bytes(run.view[position * 4 : end * 4])
        call = Call(entry, plan.message, data, run.take_fds(plan.fds))
        shown = self._show_event(call, plan)
        run.begin = end
        if shown is not None:
            self._attach(run.outlet, call.fds)
            run.outlet.append(shown)

    def _show_event(self, call: Call, plan: Plan) -> bytes | None:
        """Returns what Xwayland gets of an event, None for nothing."""
        entry = call.entry
        if plan.scaler is not None:
            plan.scaler(call.values)
        if entry.host_id == DISPLAY_ID:
            self._handle_display(call)
            return None
        if entry.proxy is not None:
            if plan.created is not None:
                self._adopt(self.describe(plan.created), entry.version, call.number(_new_id(plan.message)))
            entry.proxy.handle(plan.message, tuple(call.values), call.fds)
            return None
        if not entry.client_id:
            for fd in call.fds:
                os.close(fd)
            return None
        verdict = Verdict.PASS if plan.handler is None else plan.handler(call)
        if verdict is Verdict.HOLD:
            raise Held
        if verdict is Verdict.DROP:
            return None
        try:
            return self._rewrite_event(call, plan)
        except Dropped:
            for fd in call.fds:
                os.close(fd)
            return None

    def _translate_event(self, run: Batch, position: int, end: int, entry: Entry, plan: Plan) -> None:
        """Exchanges the ids of an event where it stands; raises Dropped where Xwayland can't get it."""
        words = run.words
        if end - position < plan.words:
            raise HostFault(f"the compositor sent a truncated event of {entry!r}")
        for offset in plan.objects:
            if words[position + offset]:
                words[position + offset] = self._client_id(words[position + offset])
        if plan.created is not None:
            words[position + plan.new_id] = self._take_in(plan.created, entry, words[position + plan.new_id])
        words[position] = entry.client_id

    def _rewrite_event(self, call: Call, plan: Plan) -> bytes:
        """Returns an event with its ids exchanged, from its values; raises Dropped."""
        values = call.values
        for number, argument in enumerate(plan.message.arguments):
            value = values[number]
            if not isinstance(value, int) or value == 0:
                continue
            if argument.kind is ArgumentKind.OBJECT:
                values[number] = self._client_id(value)
            elif argument.kind is ArgumentKind.NEW_ID and argument.interface is not None:
                values[number] = self._take_in(argument.interface, call.entry, value)
        return encode_message(plan.message, call.entry.client_id, *values)

    def _client_id(self, host_id: int) -> int:
        entry = self._from_host.get(host_id)
        if entry is None or not entry.client_id:
            raise Dropped
        return entry.client_id

    def _take_in(self, interface: str, creator: Entry, host_id: int) -> int:
        """Takes in an object that the compositor made for Xwayland; returns Xwayland's id of it."""
        entry = Entry(interface, creator.version, host_id=host_id, client_id=self._client_server_ids.take())
        self._from_host[host_id] = entry
        self._from_client[entry.client_id] = entry
        return entry.client_id

    def _handle_display(self, call: Call) -> None:
        if call.message.name == "delete_id":
            self._delete(call.number(0))
            return
        entry = self._from_host.get(call.number(0))
        raise HostFault(f"protocol error {call.number(1)} of {entry!r}: {call.text(2)!r:.300}")

    def _delete(self, host_id: int) -> None:
        entry = self._from_host.get(host_id)
        if entry is None or not DISPLAY_ID < host_id < SERVER_ID_START:
            return
        del self._from_host[host_id]
        self._host_ids.give_back(host_id)
        if entry.proxy is not None:
            entry.proxy.alive = False
        if entry.client_id:
            self.free_client_id(entry.client_id)

    def _attach(self, outlet: Outlet, fds: list[int]) -> None:
        for fd in fds:
            outlet.append_fd(fd)


def _broken(direction: Direction, text: str) -> Exception:
    return GuestFault(text) if direction is Direction.REQUEST else HostFault(text)


def _new_id(message: Message) -> int:
    """Returns the position of the argument that is a new_id."""
    for number, argument in enumerate(message.arguments):
        if argument.kind is ArgumentKind.NEW_ID:
            return number
    raise LocalError(f"{message.name} creates nothing")
