"""The daemon's status out of its JSON: a table for people, and the text exposition format for Prometheus.

Names are a guest's, told by a worker that it may have taken over: nothing of them steers a terminal.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias, cast

from crossdomain.errors import HostFault

Fields: TypeAlias = Mapping[str, object]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_CLIENT_COLUMNS: Final = (
    *("CLIENT", "SURFACES", "OBJECTS", "REQUESTS", "A SECOND", "MAPPED", "IN PLACE", "COPIED"),
    *("RESOURCES", "BLOBS", "QUEUED", "FDS", "PIPES", "IN PIPES"),
    *("TO HOST p50/p99", "TO GUEST p50/p99", ""),
)
_CLIENT_NUMBERS: Final = (
    *("surfaces", "objects", "requests", "messages_per_second", "buffers_mapped", "buffers_shown"),
)
"""Those in the columns from SURFACES to IN PLACE."""
_GAUGES: Final[Mapping[str, str]] = {
    "resources": "resources that the client has",
    "blob_bytes": "bytes that the client's blobs in host memory may grow to",
    "messages_per_second": "requests and other commands, since the status was asked last",
    "objects": "Wayland objects that the client has",
    "surfaces": "surfaces that the client has",
    "fds": "descriptors that wait for the client, its pipes included",
    "pipes": "open pipes",
    "queued_bytes": "bytes of requests that wait for the compositor",
    "piped_bytes": "bytes that wait for readers of pipes",
}
_COUNTERS: Final[Mapping[str, str]] = {
    "requests": "requests of the client",
    "messages": "requests and other commands of the client",
    "sends": "batches of requests",
    "events": "batches of events",
    "bytes_to_host": "bytes of requests",
    "bytes_to_guest": "bytes of events",
    "bytes_copied": "bytes of pixels that were copied on the host",
    "copies": "copies of damage on the host",
    "buffers_mapped": "times that memory of the host was given to the compositor",
    "buffers_shown": "times that pages of the guest were given to the compositor",
    "held": "times that the client was slowed down",
}
_VM_GAUGES: Final[Mapping[str, str]] = {
    "contexts": "contexts that the VM has",
    "resources": "resources that the VM has",
    "host_bytes": "bytes that the VM's blobs in host memory may grow to",
    "fds": "descriptors of the VM's worker",
    "objects": "Wayland objects of all clients",
    "surfaces": "surfaces of all clients",
    "messages_per_second": "requests and other commands of all clients, since the status was asked last",
    "cpu_percent": "of one processor, since the status was asked last",
}
_QUANTILES: Final = {50: "0.5", 95: "0.95", 99: "0.99"}


def table(status: Fields) -> str:
    """Lines for a terminal."""
    lines: list[str] = []
    for vm in _list(status, "vms"):
        quotas = _fields(_fields(vm, "quotas"), "vm")
        lines.append(f"{vm['name']}: {_used(vm, quotas)}")
        lines += _clients(_list(vm, "clients"), _most(_fields(_fields(vm, "quotas"), "client")))
    local = _list(status, "local")
    lines.append(
        f"local sockets: resources {status['local_resources']}, blobs {_size(status['local_bytes'])}, "
        f"messages {status['local_messages_per_second']} a second, processor {status['local_cpu_percent']} %"
    )
    lines += _clients(local)
    lines.append(f"all: fds {status['fds']}, pipes of clients that have left {status['orphaned_pipes']}")
    return "\n".join(lines)


def prometheus(status: Fields) -> str:
    """The text exposition format, version 0.0.4."""
    vms = _list(status, "vms")
    clients = [({"vm": str(vm["name"])}, client) for vm in vms for client in _list(vm, "clients")]
    clients += [({"vm": "local"}, client) for client in _list(status, "local")]
    labelled = [
        ({**labels, "context": str(client["context"]), "client": str(client["name"])}, client)
        for labels, client in clients
    ]
    lines = list(_metric("crossdomain_vms", "gauge", "VMs that are connected", [({}, len(vms))]))
    lines += _metric("crossdomain_fds", "gauge", "descriptors of all processes", [({}, status["fds"])])
    for name, help_ in _VM_GAUGES.items():
        values = [({"vm": str(vm["name"])}, vm[name]) for vm in vms]
        lines += _metric(f"crossdomain_vm_{name}", "gauge", help_, values)
    messages = [({"vm": str(vm["name"])}, vm["messages"]) for vm in vms]
    help_ = "requests and other commands of all clients"
    lines += _metric("crossdomain_vm_messages_total", "counter", help_, messages)
    seconds = [({"vm": str(vm["name"])}, _number(vm["cpu_ms"]) / 1e3) for vm in vms]
    seconds.append(({"vm": "local"}, _number(status["local_cpu_ms"]) / 1e3))
    lines += _metric("crossdomain_vm_cpu_seconds_total", "counter", "the processor's time", seconds)
    lines += _metric("crossdomain_vm_quota", "gauge", "what the VM may have", _quotas(vms))
    for kind, names, suffix in (("gauge", _GAUGES, ""), ("counter", _COUNTERS, "_total")):
        for name, help_ in names.items():
            values = [(labels, client[name]) for labels, client in labelled]
            lines += _metric(f"crossdomain_client_{name}{suffix}", kind, help_, values)
    for way, help_ in (("to_host", "SENDs on the host"), ("to_guest", "events until the guest has them")):
        quantiles = [
            ({**labels, "quantile": quantile}, _number(client[f"{way}_p{percent}"]) / 1e6)
            for labels, client in labelled
            for percent, quantile in _QUANTILES.items()
        ]
        lines += _metric(f"crossdomain_client_{way}_seconds", "gauge", f"time of {help_}", quantiles)
    return "\n".join(lines) + "\n"


def _used(vm: Fields, quotas: Fields) -> str:
    names = ("contexts", "resources", "fds", "objects", "surfaces")
    used = [f"{name} {vm[name]} of {quotas[name]}" for name in names]
    used.append(f"blobs {_size(vm['host_bytes'])} of {_size(quotas['blob_bytes'])}")
    used.append(f"messages {vm['messages_per_second']} of {quotas['messages_per_second']} a second")
    return ", ".join([*used, f"processor {vm['cpu_percent']} of {quotas['cpu_percent']} %"])


def _clients(clients: Sequence[Fields], *most: Sequence[str]) -> list[str]:
    if not clients:
        return []
    rows = [_CLIENT_COLUMNS, *map(_row, clients), *most]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_CLIENT_COLUMNS))]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(client: Fields) -> tuple[str, ...]:
    remarks = [] if client["alive"] else ["over"]
    if client["held"]:
        remarks.append(f"slowed down {client['held']} times")
    return (
        _plain(str(client["name"])).partition(", ")[2],
        *(str(client[name]) for name in _CLIENT_NUMBERS),
        _size(client["bytes_copied"]),
        str(client["resources"]),
        _size(client["blob_bytes"]),
        _size(client["queued_bytes"]),
        str(client["fds"]),
        str(client["pipes"]),
        _size(client["piped_bytes"]),
        *(f"{client[f'{way}_p50']}/{client[f'{way}_p99']} us" for way in ("to_host", "to_guest")),
        ", ".join(remarks),
    )


def _most(quotas: Fields) -> tuple[str, ...]:
    """The last row: what each of the clients may have."""
    return (
        "each may have",
        *(str(quotas[name]) for name in ("surfaces", "objects")),
        "",
        str(quotas["messages_per_second"]),
        *[""] * 3,
        str(quotas["resources"]),
        _size(quotas["blob_bytes"]),
        _size(quotas["queued_bytes"]),
        *(str(quotas[name]) for name in ("fds", "pipes")),
        _size(quotas["piped_bytes"]),
        *[""] * 3,
    )


def _quotas(vms: Sequence[Fields]) -> list[tuple[Mapping[str, str], object]]:
    return [
        ({"vm": str(vm["name"]), "of": part, "quota": name}, value)
        for vm in vms
        for part in ("vm", "client")
        for name, value in _fields(_fields(vm, "quotas"), part).items()
    ]


def _metric(
    name: str, kind: str, help_: str, values: Sequence[tuple[Mapping[str, str], object]]
) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    samples: dict[str, object] = {}
    for labels, value in values:
        # A worker may name two clients alike, and a page with one sample twice is refused as a whole.
        samples.setdefault(",".join(f'{label}="{_escape(text)}"' for label, text in labels.items()), value)
    for shown, value in samples.items():
        yield f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escape(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace('"', '\\"')


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _size(value: object) -> str:
    size = float(_number(value))
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} {_UNITS[-1]}"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _fields(parent: Fields, key: str) -> Fields:
    value = parent[key]
    if not isinstance(value, dict):
        raise HostFault(f"a status whose {key!r} is no object")
    return cast("dict[str, object]", value)


def _list(parent: Fields, key: str) -> list[Fields]:
    value = parent[key]
    if not isinstance(value, list):
        raise HostFault(f"a status whose {key!r} is no list")
    return cast("list[Fields]", value)
