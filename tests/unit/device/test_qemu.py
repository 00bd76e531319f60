"""What a user adds to the QEMU that he has."""

from pathlib import Path

from crossdomain.device.qemu import qemu_arguments


def options(argument: str) -> dict[str, str]:
    """A QEMU argument's properties; the first word under "driver"."""
    driver, *rest = argument.replace(",,", "\0").split(",")
    return {"driver": driver, **dict(item.replace("\0", ",").split("=", 1) for item in rest)}


def test_the_arguments_name_each_other_and_the_socket() -> None:
    arguments = qemu_arguments(Path("/run/user/0/crossdomain.sock"), memory="3G")
    values = dict(zip(arguments[::2], arguments[1::2], strict=True))
    memory, chardev, device = (options(values[flag]) for flag in ("-object", "-chardev", "-device"))
    assert options(values["-M"])["memory-backend"] == memory["id"]
    assert (memory["driver"], memory["share"], memory["size"]) == ("memory-backend-memfd", "on", "3G")
    assert (chardev["driver"], chardev["path"]) == ("socket", "/run/user/0/crossdomain.sock")
    assert (device["driver"], device["chardev"]) == ("vhost-user-test-device-pci", chardev["id"])
    assert (device["virtio-id"], device["num_vqs"], device["config_size"]) == ("16", "2", "16")
    assert int(device["vq_size"]) <= 1024


def test_a_comma_in_the_path_is_no_end_of_it() -> None:
    (chardev,) = (a for a in qemu_arguments(Path("/tmp/a,b")) if a.startswith("socket"))
    assert options(chardev)["path"] == "/tmp/a,b"
