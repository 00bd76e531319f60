"""Quotas as settings and workers' messages have them: a table for the VM, and one for each client."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final, TypeVar, cast

from crossdomain import limits
from crossdomain.context.quotas import ClientQuotas, Quotas, VmQuotas

_Kind = TypeVar("_Kind", VmQuotas, ClientQuotas)

_MOST: Final[Mapping[type, Mapping[str, int]]] = {
    VmQuotas: {
        "contexts": limits.MAX_CONTEXTS,
        "resources": limits.MAX_RESOURCES,
        "fds": limits.MAX_WORKER_FDS,
        "messages_per_second": 1 << 30,
        "cpu_percent": 100,
    },
    ClientQuotas: {
        "resources": limits.MAX_RESOURCES,
        "fds": limits.MAX_WORKER_FDS,
        "objects": limits.MAX_OBJECTS,
        "pool_bytes": limits.MAX_BLOB_SIZE,
        "messages_per_second": 1 << 30,
    },
}
"""What a quota may be at most: caps that hold whatever the settings say."""
_OTHERS: Final = 1 << 40
_SECTIONS: Final = "write it in [default.quotas.vm] or [default.quotas.client], or those of a VM"


class Mistake(Exception):
    """What is wrong with a table, and what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def change(quotas: Quotas, table: object) -> Quotas:
    """`quotas` with what a table `{vm = {...}, client = {...}}` changes.

    Raises:
        Mistake: there is no such quota, or it can't be so.
    """
    parts = _mapping(table, "quotas")
    for name in parts:
        if name not in ("vm", "client"):
            raise Mistake(f"there are no quotas of {name!r:.80}", _SECTIONS)
    return Quotas(
        _changed(quotas.vm, _mapping(parts.get("vm", {}), "vm")),
        _changed(quotas.client, _mapping(parts.get("client", {}), "client")),
    )


def decode(fields: Mapping[str, Mapping[str, int]]) -> Quotas:
    """The quotas that `dataclasses.asdict` was given."""
    return Quotas(VmQuotas(**fields["vm"]), ClientQuotas(**fields["client"]))


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Mistake(f"{name} is no section", _SECTIONS)
    return cast("dict[str, object]", value)


def _changed(quotas: _Kind, table: Mapping[str, object]) -> _Kind:
    known = asdict(quotas)
    numbers: dict[str, int] = {}
    for name, value in table.items():
        if name not in known:
            raise Mistake(f"there is no quota {name!r:.80}", f"known are {', '.join(sorted(known))}")
        most = _MOST[type(quotas)].get(name, _OTHERS)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise Mistake(f"{name}: {value!r:.80} is no quota", f"write a whole number from 1 to {most}")
        numbers[name] = value
    return replace(quotas, **numbers)
