"""What a user adds to the QEMU that he has."""

from pathlib import Path

from crossdomain.device.qemu import qemu_arguments


def options(argument: str) -> dict[str, str]:
    """A QEMU argument's properties; the first word under "driver"."""
    driver, *rest = argument.replace(",,", "\0").split(",")
    return {"driver": driver, **dict(item.replace("\0", ",").split("=", 1) for item in rest)}


def test_the_arguments_name_each_other_and_the_socket() -> None:
    arguments = qemu_arguments(Path("/run/user/0/crossdomain.sock"), memory="3G")
    flags = arguments[::2]
    values = [options(value) for value in arguments[1::2]]
    machine, memory, *devices = values
    assert flags == ["-M", "-object", "-chardev", "-device", "-chardev", "-device"]
    assert machine["memory-backend"] == memory["id"]
    assert (memory["driver"], memory["share"], memory["size"]) == ("memory-backend-memfd", "on", "3G")
    path = "/run/user/0/crossdomain.sock"
    assert [chardev["path"] for chardev in devices[::2]] == [path, path + ".memory"]
    for chardev, device in zip(devices[::2], devices[1::2], strict=True):
        assert chardev["driver"] == "socket"
        assert (device["driver"], device["chardev"]) == ("vhost-user-test-device-pci", chardev["id"])
        assert (device["virtio-id"], device["num_vqs"], device["config_size"]) == ("16", "2", "16")
        assert int(device["vq_size"]) <= 1024


def test_a_comma_in_the_path_is_no_end_of_it() -> None:
    chardev, _memory = (a for a in qemu_arguments(Path("/tmp/a,b")) if a.startswith("socket"))
    assert options(chardev)["path"] == "/tmp/a,b"
