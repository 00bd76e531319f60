"""KVM is used where it boots a kernel, which is tried once and remembered until the host boots again."""

from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import kvm
from crossdomain.vm.image import Image


class Machine:
    """A machine whose KVM works or does not, and how often it was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.image = Image(folder / "image-1")
        self.works = True
        self.trials = 0
        self.device = folder / "kvm"
        self.device.write_text("")
        monkeypatch.setattr(kvm, "_DEVICE", self.device)
        monkeypatch.setattr(kvm, "_try_boot", self.try_boot)

    def try_boot(self, _image: Image) -> bool:
        self.trials += 1
        return self.works


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


@pytest.mark.parametrize("works", [True, False])
def test_the_answer_is_that_of_a_boot_and_is_remembered(machine: Machine, works: bool) -> None:
    machine.works = works
    assert kvm.kvm_works(machine.image) is works
    assert kvm.kvm_works(machine.image) is works
    assert machine.trials == 1


def test_a_device_alone_proves_nothing(machine: Machine) -> None:
    machine.works = False
    assert kvm.choose(machine.image, "auto") is False


def test_without_a_device_nothing_is_tried(machine: Machine) -> None:
    machine.device.unlink()
    assert kvm.choose(machine.image, "auto") is False
    assert machine.trials == 0


def test_another_image_is_tried_anew(machine: Machine, tmp_path: Path) -> None:
    kvm.kvm_works(machine.image)
    kvm.kvm_works(Image(tmp_path / "image-2"))
    assert machine.trials == 2


def test_emulation_on_request_tries_nothing(machine: Machine) -> None:
    assert kvm.choose(machine.image, "tcg") is False
    assert machine.trials == 0


def test_kvm_on_request_that_does_not_work_is_told(machine: Machine) -> None:
    machine.works = False
    with pytest.raises(EnvironmentFault, match="KVM cannot run") as caught:
        kvm.choose(machine.image, "kvm")
    assert "--accel tcg" in caught.value.hint


def test_a_memory_that_is_nonsense_is_not_believed(machine: Machine) -> None:
    kvm.kvm_works(machine.image)
    (memory,) = machine.image.directory.parent.glob("kvm-*.json")
    memory.write_text("[1, 2")
    assert kvm.kvm_works(machine.image) is True
    assert machine.trials == 2
