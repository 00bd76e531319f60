"""What a person, or Prometheus, is shown of a status: sums and quotas, and nothing that steers a terminal."""

import dataclasses
import json
from typing import Any

from crossdomain.context.quotas import Quotas
from crossdomain.host.report import prometheus, table
from crossdomain.host.status import ClientStatus, Status, VmStatus


def status_of(name: str, **counted: int) -> dict[str, Any]:
    """A VM with one client of that name, which has done nothing but what is `counted`."""
    numbers = {field.name: 0 for field in dataclasses.fields(ClientStatus)} | counted
    client = ClientStatus(**numbers | {"name": name, "alive": True})  # type: ignore[arg-type]
    vm = VmStatus("vm work", [client], 1, 2, 3 << 20, 17, Quotas())
    told: dict[str, Any] = json.loads(Status([vm], [], 0, 0, 0, 30).to_json())
    return told


def test_the_table_has_a_row_for_each_client_and_what_its_vm_may_have() -> None:
    shown = table(status_of("vm work, ctx 3, 'foot'", surfaces=2, bytes_copied=5 << 20, held=4)).splitlines()
    assert shown[0] == (
        "vm work: contexts 1 of 512, resources 2 of 16384, fds 17 of 65536, "
        "objects 0 of 1048576, surfaces 2 of 16384, blobs 3 MiB of 8 GiB"
    )
    cells = "ctx 3, 'foot' 2 0 0 0 0 5 MiB 0 B 0 0/0 us 0/0 us slowed down 4 times"
    assert " ".join(shown[2].split()) == cells


def test_a_name_steers_no_terminal_and_ends_no_line() -> None:
    status = status_of("vm work, ctx 3, 'a\x1b[2J\nb\"'")
    for shown in (table(status), prometheus(status)):
        assert "\x1b" not in shown
        assert "a?[2J?b" in shown
    assert 'client="vm work, ctx 3, \'a?[2J?b\\"\'"' in prometheus(status)
