"""What a guest's mistake is answered with, and how it is logged."""

import logging
from typing import Final

from crossdomain.abi import virtio_gpu as abi
from crossdomain.errors import GuestFault, LimitExceeded

logger: Final = logging.getLogger("crossdomain.device")

_WARNINGS: Final = 20
"""Faults of one VM that are worth a line of the log each; a guest that goes on only fills the disk."""


class CommandFault(GuestFault):
    """A command that cannot be carried out, and the VIRTIO_GPU_RESP_ERR that says so."""

    def __init__(self, response: int, message: str) -> None:
        super().__init__(message)
        self.response = response


def malformed(message: str) -> CommandFault:
    """A command that is too short, or that we do not know."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_UNSPEC, message)


def bad_parameter(message: str) -> CommandFault:
    """A field has a value that it must not have."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, message)


def bad_resource(resource_id: int, what: str) -> CommandFault:
    """`what` says what is wrong with that resource id: "is unknown"."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, f"resource {resource_id} {what}")


def bad_context(ctx_id: int, what: str) -> CommandFault:
    """`what` says what is wrong with that context id: "is unknown"."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID, f"context {ctx_id} {what}")


def bad_scanout(scanout_id: int) -> CommandFault:
    """There are no scanouts: the guest's screens are another device's."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID, f"scanout {scanout_id} is unknown")


def too_much(message: str) -> CommandFault:
    """More than `crossdomain.limits` grants, or than the VMM can give."""
    return CommandFault(abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, message)


def response_of(fault: GuestFault) -> int:
    """The VIRTIO_GPU_RESP_ERR for `fault`."""
    if isinstance(fault, CommandFault):
        return fault.response
    if isinstance(fault, LimitExceeded):
        return abi.VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
    return abi.VIRTIO_GPU_RESP_ERR_UNSPEC


class FaultLog:
    """The log of one VM's mistakes, which falls silent where they go on."""

    __slots__ = ("_count", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    @property
    def count(self) -> int:
        """Mistakes so far, the silent ones included."""
        return self._count

    def add(self, where: str, fault: Exception) -> None:
        """One more; `where` names the context or the command."""
        self._count += 1
        if self._count < _WARNINGS:
            logger.warning("%s: %s: %s", self._name, where, fault)
        elif self._count == _WARNINGS:
            logger.warning("%s: %s: %s (more faults of this VM are not shown)", self._name, where, fault)
        else:
            logger.debug("%s: %s: %s", self._name, where, fault)
