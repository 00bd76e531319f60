"""What a person, or Prometheus, is shown of a status: sums and quotas, and nothing that steers a terminal."""

import dataclasses
import json
from typing import Any, Final

from crossdomain.context.quotas import ClientQuotas, Quotas
from crossdomain.host.report import prometheus, table
from crossdomain.host.status import ClientStatus, Status, VmStatus

_USUAL: Final = ClientQuotas()
_LIMITED: Final = ("SURFACES", "OBJECTS", "QUEUED", "FDS", "PIPES", "IN PIPES")


def status_of(name: str, quotas: ClientQuotas = _USUAL, **counted: int) -> dict[str, Any]:
    """A VM with one client of that name, which has done nothing but what is `counted`."""
    numbers = {field.name: 0 for field in dataclasses.fields(ClientStatus)} | counted
    client = ClientStatus(**numbers | {"name": name, "alive": True})  # type: ignore[arg-type]
    vm = VmStatus("vm work", [client], 1, 2, 3 << 20, 17, Quotas(client=quotas))
    told: dict[str, Any] = json.loads(Status([vm], [], 0, 0, 0, 30).to_json())
    return told


def test_the_table_has_a_row_for_each_client_and_what_its_vm_may_have() -> None:
    shown = table(status_of("vm work, ctx 3, 'foot'", surfaces=2, bytes_copied=5 << 20, held=4)).splitlines()
    assert shown[0] == (
        "vm work: contexts 1 of 512, resources 2 of 16384, fds 17 of 65536, "
        "objects 0 of 1048576, surfaces 2 of 16384, blobs 3 MiB of 8 GiB"
    )
    cells = "ctx 3, 'foot' 2 0 0 0 0 5 MiB 0 B 0 0 0 B 0/0 us 0/0 us slowed down 4 times"
    assert " ".join(shown[2].split()) == cells


def test_the_last_row_of_a_vm_is_what_each_of_its_clients_may_have() -> None:
    quotas = ClientQuotas(
        surfaces=10, objects=1000, queued_bytes=4 << 20, fds=28, pipes=16, piped_bytes=2 << 20
    )
    names, _client, most = table(status_of("vm work, ctx 3, 'foot'", quotas=quotas)).splitlines()[1:4]
    row = {name: most[names.index(f"  {name}  ") + 2 :].split("  ")[0].strip() for name in _LIMITED}
    assert row == dict(zip(_LIMITED, ("10", "1000", "4 MiB", "28", "16", "2 MiB"), strict=True))


def test_a_name_steers_no_terminal_and_ends_no_line() -> None:
    status = status_of("vm work, ctx 3, 'a\x1b[2J\nb\"'")
    for shown in (table(status), prometheus(status)):
        assert "\x1b" not in shown
        assert "a?[2J?b" in shown
    assert 'client="vm work, ctx 3, \'a?[2J?b\\"\'"' in prometheus(status)
