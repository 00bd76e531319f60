"""Every command of the control queue, well-formed and not, through a real ring."""

import asyncio
import struct

from crossdomain.abi import virtio_gpu as abi
from tests.unit.device.vms import CAPSET, PAGE, Vm


async def test_capset_5_is_the_only_capset(vm: Vm) -> None:
    info = await vm.driver.get_capset_info(0)
    assert info.type == abi.VIRTIO_GPU_RESP_OK_CAPSET_INFO
    assert struct.unpack("<IIII", info.body) == (5, 0, len(CAPSET), 0)
    assert (await vm.driver.get_capset_info(1)).type == abi.VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
    capset = await vm.driver.get_capset()
    assert capset.type == abi.VIRTIO_GPU_RESP_OK_CAPSET
    assert capset.body == CAPSET
