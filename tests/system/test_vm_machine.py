"""A machine of the image: what a program finds in it, what comes out of it, and that nothing stays of it.

These tests need no windows: their machine has no virtio-gpu, and is booted once for this file.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from crossdomain.errors import EnvironmentFault, HostFault
from crossdomain.vm.guest import StartFailed
from crossdomain.vm.image import Image
from crossdomain.vm.machine import Machine, MachineConfig, Share

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the host that the guest's user may write to, and in it one that it may not."""
    folder = tmp_path_factory.mktemp("shared")
    folder.chmod(0o777)
    (folder / "hello").write_text("from the host\n")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(vm_image: Image, shared: Path) -> AsyncGenerator[Machine]:
    """A machine without a virtio-gpu."""
    shares = (Share(shared, "/mnt/both ways"), Share(shared, "/mnt/look", read_only=True))
    async with Machine(MachineConfig(vm_image, memory=768, cpus=1, shares=shares)) as machine:
        yield machine


async def shell(machine: Machine, script: str, *, user: str = "user") -> tuple[int, str, str]:
    done = await machine.run(["/bin/sh", "-c", script], user=user)
    return done.status, done.output.decode(), done.errors.decode()


async def test_a_program_runs_as_an_ordinary_user_with_a_home(plain: Machine) -> None:
    status, output, _ = await shell(plain, 'id -un; pwd; touch "$HOME/file" && stat -c %a "$XDG_RUNTIME_DIR"')
    assert (status, output) == (0, "user\n/home/user\n700\n")


async def test_exit_status_output_and_errors_arrive(plain: Machine) -> None:
    assert await shell(plain, "echo out; echo err >&2; exit 42") == (42, "out\n", "err\n")


async def test_a_program_killed_in_the_guest_ends_with_128_and_the_signal(plain: Machine) -> None:
    process = await plain.spawn(["sleep", "1000"])
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 128 + signal.SIGTERM


async def test_many_programs_run_at_once_over_one_boot(plain: Machine) -> None:
    processes = [await plain.spawn(["sh", "-c", f"read x; echo $x; exit {number}"]) for number in range(10)]
    done = await asyncio.gather(*(process.communicate(b"here\n") for process in processes))
    assert [(one.status, one.output) for one in done] == [(number, b"here\n") for number in range(10)]


async def test_a_program_that_is_missing_is_told(plain: Machine) -> None:
    with pytest.raises(StartFailed, match="no-such-program: No such file"):
        await plain.spawn(["no-such-program"])


async def test_files_go_in_and_come_out(plain: Machine) -> None:
    data = os.urandom(300_000)
    await plain.push("/tmp/script", data, mode=0o750)
    assert await plain.pull("/tmp/script") == data
    assert (await shell(plain, "stat -c '%a %U' /tmp/script"))[1] == "750 user\n"


async def test_a_file_that_cannot_be_written_is_told(plain: Machine) -> None:
    with pytest.raises(HostFault, match="cannot write /usr/file"):
        await plain.push("/usr/file", b"")


async def test_our_packages_are_there_of_the_moment_and_cannot_be_changed(plain: Machine) -> None:
    script = "import crossdomain.native, launcher.run, sys; print(sys.version_info >= (3, 13))"
    python = f"PYTHONPATH=/opt/crossdomain python3 -c '{script}'"
    assert (await shell(plain, python))[:2] == (0, "True\n")
    status, _, errors = await shell(plain, "touch /opt/crossdomain/crossdomain/new", user="root")
    assert status != 0
    assert "Read-only file system" in errors


async def test_our_modules_are_compiled_before_the_guest_starts(plain: Machine) -> None:
    status, output, _ = await shell(
        plain, "find /opt/crossdomain -name '*.py' | wc -l; find /opt/crossdomain -name '*.pyc' | wc -l"
    )
    sources, compiled = map(int, output.split())
    assert status == 0
    assert sources == compiled > 20


async def test_a_shared_folder_goes_both_ways(plain: Machine, shared: Path) -> None:
    status, output, errors = await shell(
        plain, 'cat "/mnt/both ways/hello"; echo guest >"/mnt/both ways/answer"'
    )
    assert (status, output, errors) == (0, "from the host\n", "")
    assert (shared / "answer").read_text() == "guest\n"


async def test_a_read_only_folder_can_only_be_read(plain: Machine, shared: Path) -> None:
    status, output, errors = await shell(plain, "cat /mnt/look/hello; echo guest >/mnt/look/refused")
    assert (status, output) != (0, "")
    assert "Read-only file system" in errors
    assert not (shared / "refused").exists()


async def test_what_a_guest_changes_does_not_reach_the_image(plain: Machine, vm_image: Image) -> None:
    status, _, errors = await shell(plain, "echo x >/usr/changed && rm -rf /usr/share/weston", user="root")
    assert (status, errors) == (0, "")
    assert not (vm_image.root / "usr/changed").exists()
    assert (vm_image.root / "usr/share/weston").exists()


async def test_a_qemu_that_refuses_its_arguments_is_told(vm_image: Image) -> None:
    machine = Machine(MachineConfig(vm_image, qemu_extra=("-no-such-option",)))
    with pytest.raises(EnvironmentFault, match=r"QEMU ended.*no-such-option"):
        await machine.start()
    await machine.stop()


async def test_a_guest_without_the_gpu_that_it_should_have_is_told(vm_image: Image, tmp_path: Path) -> None:
    machine = Machine(MachineConfig(vm_image, gpu_socket=tmp_path / "nobody-listens"))
    with pytest.raises(EnvironmentFault, match=r"QEMU ended.*nobody-listens"):
        await machine.start()
    await machine.stop()


async def test_a_boot_that_takes_too_long_is_told_and_a_hung_qemu_is_killed(vm_image: Image) -> None:
    before = set(Path(tempfile.gettempdir()).glob("crossdomain-vm-*"))
    machine = Machine(MachineConfig(vm_image))
    with pytest.raises(EnvironmentFault, match="did not come up"):
        await machine.start(timeout=0.2)
    os.kill(machine.pid, signal.SIGSTOP)
    await machine.stop(timeout=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(machine.pid, 0)
    assert set(Path(tempfile.gettempdir()).glob("crossdomain-vm-*")) == before


async def test_a_machine_that_crashes_fails_whatever_runs_in_it(vm_image: Image) -> None:
    async with Machine(MachineConfig(vm_image, memory=512)) as machine:
        process = await machine.spawn(["sleep", "1000"])
        await machine.kill()
        with pytest.raises(HostFault, match=r"gone|ended"):
            await process.wait()
        with pytest.raises(HostFault, match="gone"):
            await machine.spawn(["true"])
