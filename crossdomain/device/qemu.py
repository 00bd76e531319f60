"""The arguments that connect a QEMU to our vhost-user socket.

QEMU 11.1 or newer is needed: its generic vhost-user device has the shared-memory regions that the
host-visible window takes.  Guest memory has to be a shared memfd, or the daemon could not reach it.
"""

from pathlib import Path
from typing import Final

from crossdomain.abi import virtio_gpu

_QUEUES: Final = 2
_QUEUE_SIZE: Final = 1024
"""QEMU's largest; a foreign VMM's may be another."""

_CONFIG_SIZE: Final = virtio_gpu.CONFIG.size
"""Bytes of virtio_gpu_config without the blob alignment of newer specifications."""


def memory_socket(gpu_socket: Path) -> Path:
    """Where the memory device of a VM connects whose GPU connects at `gpu_socket`."""
    return gpu_socket.with_name(gpu_socket.name + ".memory")


def qemu_arguments(gpu_socket: Path, *, memory: str = "2G") -> list[str]:
    """Return QEMU's arguments for a virtio-gpu that is served at `gpu_socket`, and its memory device.

    Args:
        gpu_socket: absolute, where the daemon listens.
        memory: the guest's RAM, as QEMU writes sizes.
    """
    return [
        "-M", "q35,memory-backend=crossdomain-ram",
        "-object", f"memory-backend-memfd,id=crossdomain-ram,size={memory},share=on",
        *_device("crossdomain-gpu", gpu_socket),
        *_device("crossdomain-memory", memory_socket(gpu_socket)),
    ]  # fmt: skip


def _device(name: str, socket_path: Path) -> list[str]:
    path = str(socket_path).replace(",", ",,")
    return [
        "-chardev", f"socket,id={name},path={path}",
        "-device",
        f"vhost-user-test-device-pci,chardev={name},virtio-id={virtio_gpu.VIRTIO_ID_GPU},"
        f"num_vqs={_QUEUES},vq_size={_QUEUE_SIZE},config_size={_CONFIG_SIZE}",
    ]  # fmt: skip
