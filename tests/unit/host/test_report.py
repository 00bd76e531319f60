"""What a person, or Prometheus, is shown of a status: sums and quotas, and nothing that steers a terminal."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from crossdomain.context.quotas import ClientQuotas, Quotas
from crossdomain.errors import HostFault
from crossdomain.host.report import prometheus, table
from crossdomain.host.status import ClientStatus, Status, VmStatus, WorkerStatus, parse_worker_status

_USUAL: Final = ClientQuotas()
_LIMITED: Final = (
    *("SURFACES", "OBJECTS", "A SECOND", "RESOURCES", "BLOBS", "QUEUED", "FDS", "PIPES", "IN PIPES"),
)
_ELSEWHERE: Final = {"blob_bytes": "host_bytes"}
"""Quotas of a VM whose use has another name."""
_OF_ONE: Final = {"pool_bytes"}
"""Quotas of a thing, not of a client: there is no use of all."""


def status_of(
    name: str, quotas: ClientQuotas = _USUAL, together: Mapping[str, int] | None = None, **counted: int
) -> dict[str, Any]:
    """A VM with one client of that name, which has done nothing but what is `counted`, and `together`."""
    numbers = {field.name: 0 for field in dataclasses.fields(ClientStatus)} | counted
    client = ClientStatus(**numbers | {"name": name, "alive": True})  # type: ignore[arg-type]
    used = {field.name: 0 for field in dataclasses.fields(WorkerStatus)} | dict(together or {})
    worker = WorkerStatus(**used | {"clients": [client]})  # type: ignore[arg-type]
    vm = VmStatus.of("vm work", worker, 17, Quotas(client=quotas))
    told: dict[str, Any] = json.loads(Status([vm], [], 0, 0, 40, 2500, 7, 0, 30).to_json())
    return told


def series_of(status: Mapping[str, object]) -> dict[str, str]:
    """The values that Prometheus gets, by name and labels."""
    lines = prometheus(status).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_the_table_has_a_row_for_each_client_and_what_its_vm_may_have() -> None:
    together = {"contexts": 1, "resources": 2, "host_bytes": 3 << 20, "objects": 9, "surfaces": 2}
    rates = {"messages": 5000, "messages_per_second": 120, "cpu_ms": 1500, "cpu_percent": 3}
    status = status_of(
        "vm work, ctx 3, 'foot'",
        together=together | rates,
        surfaces=2,
        bytes_copied=5 << 20,
        held=4,
        messages_per_second=110,
    )
    shown = table(status).splitlines()
    assert shown[0] == (
        "vm work: contexts 1 of 512, resources 2 of 16384, fds 17 of 65536, objects 9 of 1048576, "
        "surfaces 2 of 16384, blobs 3 MiB of 8 GiB, messages 120 of 400000 a second, processor 3 of 100 %"
    )
    cells = "ctx 3, 'foot' 2 0 0 110 0 0 5 MiB 0 0 B 0 B 0 0 0 B 0/0 us 0/0 us slowed down 4 times"
    assert " ".join(shown[2].split()) == cells
    assert shown[4].endswith("messages 40 a second, processor 7 %")


def test_the_last_row_of_a_vm_is_what_each_of_its_clients_may_have() -> None:
    quotas = ClientQuotas(
        surfaces=10,
        objects=1000,
        messages_per_second=500,
        resources=77,
        blob_bytes=1 << 20,
        queued_bytes=4 << 20,
        fds=28,
        pipes=16,
        piped_bytes=2 << 20,
    )
    names, _client, most = table(status_of("vm work, ctx 3, 'foot'", quotas=quotas)).splitlines()[1:4]
    row = {name: most[names.index(f"  {name}  ") + 2 :].split("  ")[0].strip() for name in _LIMITED}
    expected = ("10", "1000", "500", "77", "1 MiB", "4 MiB", "28", "16", "2 MiB")
    assert row == dict(zip(_LIMITED, expected, strict=True))


def test_what_is_used_of_every_quota_is_told() -> None:
    status = status_of("vm work, ctx 3, 'foot'")
    (vm,) = status["vms"]
    (client,) = vm["clients"]
    series = series_of(status)
    of_vm = {_ELSEWHERE.get(name, name) for name in vm["quotas"]["vm"]}
    of_client = set(vm["quotas"]["client"]) - _OF_ONE
    assert (of_vm - set(vm), of_client - set(client)) == (set(), set())
    labels = '{vm="vm work"}'
    assert {f"crossdomain_vm_{name}{labels}" for name in of_vm} <= set(series)
    labels = '{vm="vm work",context="0",client="vm work, ctx 3, \'foot\'"}'
    assert {f"crossdomain_client_{name}{labels}" for name in of_client} <= set(series)


def test_two_clients_of_one_name_are_one_sample() -> None:
    status = status_of("vm work, ctx 3, 'foot'", requests=5)
    status["vms"][0]["clients"] *= 2
    lines = prometheus(status).splitlines()
    assert len([line for line in lines if line.startswith("crossdomain_client_requests_total{")]) == 1


def said(**changes: object) -> dict[str, object]:
    """What a worker with one client says of itself."""
    client = {field.name: 0 for field in dataclasses.fields(ClientStatus)} | {"name": "x", "alive": True}
    told = {field.name: 0 for field in dataclasses.fields(WorkerStatus)} | {"clients": [client]}
    of_client = {name: value for name, value in changes.items() if name in client}
    return {"status": told | {"clients": [client | of_client]} | (changes if not of_client else {})}


def test_a_status_is_taken_apart() -> None:
    assert parse_worker_status(said()).clients[0].name == "x"


@pytest.mark.parametrize(
    "change",
    [
        {"requests": 1 << 63},
        {"requests": -1},
        {"requests": True},
        {"requests": 1.5},
        {"alive": 1},
        {"name": 7},
        {"name": "x" * 5000},
        {"cpu_ms": 1 << 63},
        {"cpu_ms": -1},
        {"cpu_ms": True},
        {"host_bytes": None},
        {"clients": {}},
        {"clients": [7]},
    ],
    ids=str,
)
def test_what_a_worker_that_was_taken_over_may_say_stops_nobody_else(change: dict[str, object]) -> None:
    with pytest.raises(HostFault):
        parse_worker_status(said(**change))


def test_rates_are_told_as_counters_too() -> None:
    together = {"messages": 5000, "messages_per_second": 120, "cpu_ms": 1500, "cpu_percent": 3}
    series = series_of(status_of("vm work, ctx 3, 'foot'", together=together, messages=4000))
    assert series['crossdomain_vm_messages_total{vm="vm work"}'] == "5000"
    assert series['crossdomain_vm_messages_per_second{vm="vm work"}'] == "120"
    assert series['crossdomain_vm_cpu_seconds_total{vm="vm work"}'] == "1.5"
    assert series['crossdomain_vm_cpu_seconds_total{vm="local"}'] == "2.5"
    assert series['crossdomain_vm_cpu_percent{vm="vm work"}'] == "3"
    labels = '{vm="vm work",context="0",client="vm work, ctx 3, \'foot\'"}'
    assert series[f"crossdomain_client_messages_total{labels}"] == "4000"


def test_a_name_steers_no_terminal_and_ends_no_line() -> None:
    status = status_of("vm work, ctx 3, 'a\x1b[2J\nb\"'")
    for shown in (table(status), prometheus(status)):
        assert "\x1b" not in shown
        assert "a?[2J?b" in shown
    assert 'client="vm work, ctx 3, \'a?[2J?b\\"\'"' in prometheus(status)
