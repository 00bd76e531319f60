"""What log lines call a VM, or one of its clients."""

from typing import Self


class Peer(str):
    """Its text, "vm work, ctx 3, 'foot'", with the parts that structured logs and the status tell apart."""

    vm: str
    """The label of the VM, or of the local socket."""
    context: int | None
    """ctx_id, or the number of a local client."""
    client: str | None
    """What it calls itself."""

    @classmethod
    def of_vm(cls, label: str) -> Self:
        """A whole VM."""
        return cls._make(label, label, None, None)

    @classmethod
    def of_gpu_client(cls, label: str, ctx_id: int, client: str) -> Self:
        """A client in a VM."""
        return cls._make(f"{label}, ctx {ctx_id}, {client!r}", label, ctx_id, client)

    @classmethod
    def of_local_client(cls, label: str, number: int, client: str) -> Self:
        """A client of a local socket."""
        return cls._make(f"{label}, {client!r}", label, number, client)

    @classmethod
    def _make(cls, text: str, vm: str, context: int | None, client: str | None) -> Self:
        self = cls(text)
        self.vm, self.context, self.client = vm, context, client
        return self
