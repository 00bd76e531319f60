"""One virtual machine: QEMU out of the image, the image as its disk, and the agent to run programs in it.

The guest boots a kernel directly, with our initramfs (see `initramfs`), on the image as a read-only
disk under a tmpfs: machines share one image, and what a guest writes is gone with it.  Its virtio-gpu
is the host daemon's (see `crossdomain.device.qemu`).
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from crossdomain.errors import CrossDomainError, EnvironmentFault, HostFault
from crossdomain.vm import frames, initramfs, root
from crossdomain.vm.guest import AgentLink, Completed, GuestProcess
from crossdomain.vm.image import Image

USER: Final = "user"
"""The account that programs in the guest run as."""

_START_SECONDS: Final = 120.0
"""Time for a boot.  Emulated on a busy machine it takes 10 to 30 seconds."""

_STOP_SECONDS: Final = 15.0
"""Time for switching off before QEMU is killed: it does not end by itself when its backend hangs."""


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host that the guest sees.

    The guest's user has the uid of whoever starts the machine (1000 where that is root), and files
    keep their owners.
    """

    host_path: Path
    guest_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """How a machine is built.

    Args:
        image: what it boots.
        memory: MiB of RAM.
        cpus: number of virtual processors.
        kvm: whether to use KVM; `crossdomain.vm.kvm.works` finds out.
        gpu_socket: the host daemon's vhost-user socket; None for a machine without a virtio-gpu.
        shares: folders that the guest sees.
        network: whether the guest reaches the network, through the host's connections.
        qemu_extra: further arguments for QEMU.
    """

    image: Image
    memory: int = 1536
    cpus: int = 2
    kvm: bool = False
    gpu_socket: Path | None = None
    shares: tuple[Share, ...] = ()
    network: bool = False
    qemu_extra: tuple[str, ...] = ()


class Machine:
    """A virtual machine; `async with Machine(config) as machine:` boots it and switches it off."""

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self._directory = Path(tempfile.mkdtemp(prefix="crossdomain-vm-"))
        self._qemu: asyncio.subprocess.Process | None = None
        self._link: AgentLink | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._running().pid

    @property
    def is_launched(self) -> bool:
        """Whether QEMU has been started."""
        return self._qemu is not None

    @property
    def console(self) -> str:
        """What the guest's kernel and its first script printed so far."""
        with contextlib.suppress(OSError):
            return (self._directory / "console.log").read_text(errors="replace")
        return ""

    async def start(self, timeout: float = _START_SECONDS) -> None:
        """Boot; returns when the guest is set up and its agent answers.

        Raises:
            EnvironmentFault: QEMU ended, or the guest did not come up in `timeout` seconds.
        """
        ours, theirs = socket.socketpair()
        try:
            archive = await asyncio.to_thread(self._initramfs)
            (self._directory / "initramfs").write_bytes(archive)
            self._qemu = await self._launch(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._link = AgentLink(ours)
        self._watcher = asyncio.create_task(self._watch(), name="qemu-watcher")
        try:
            report = await asyncio.wait_for(self._link.ready(), timeout)
        except (TimeoutError, HostFault) as error:
            raise self._explain_start(error) from error
        if report:
            raise EnvironmentFault(
                "the guest has no virtio-gpu render node",
                hint=f"its console says: {self._last_line(self.console)}",
            )

    async def stop(self, timeout: float = _STOP_SECONDS) -> None:
        """Switch off, and kill QEMU where it takes longer than `timeout` seconds; leaves nothing behind."""
        qemu = self._qemu
        if qemu is not None and qemu.returncode is None:
            if self._link is not None:
                self._link.power_off()
            try:
                await asyncio.wait_for(qemu.wait(), timeout)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    qemu.kill()
                await qemu.wait()
        if self._watcher is not None:
            await self._watcher
        shutil.rmtree(self._directory, ignore_errors=True)

    async def kill(self) -> None:
        """Kill QEMU at once, as a crash would, and wait until it is gone."""
        qemu = self._running()
        with contextlib.suppress(ProcessLookupError):
            qemu.kill()
        await qemu.wait()

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str = USER,
    ) -> GuestProcess:
        """Start a program in the guest; many may run at once.

        Args:
            argv: the program, found in the guest's PATH, and its arguments.
            env: variables on top of a user's ordinary environment.
            cwd: where it starts; the user's home where None.
            user: the account it runs as: `USER` or "root".

        Raises:
            StartFailed: there is no such program or directory.
            HostFault: the machine is gone.
        """
        if self._link is None:
            raise HostFault("the virtual machine was not started")
        home = _home(user)
        environment = {**self.environment(user), **(env or {})}
        return await self._link.spawn(user, cwd or home, argv, environment)

    async def run(
        self,
        argv: Sequence[str],
        *,
        data: bytes | None = None,
        env: Mapping[str, str] | None = None,
        user: str = USER,
        timeout: float = 60.0,
    ) -> Completed:
        """Run a program in the guest to its end, with `data` as its input.

        Raises:
            TimeoutError: it took longer than `timeout` seconds, and was killed.
        """
        process = await self.spawn(argv, env=env, user=user)
        try:
            return await asyncio.wait_for(process.communicate(data), timeout)
        except TimeoutError:
            process.kill()
            raise

    async def push(self, path: str, data: bytes, *, mode: int = 0o644, user: str = USER) -> None:
        """Write a small file in the guest."""
        script = 'cat >"$1" && chmod "$2" "$1"'
        done = await self.run(["/bin/sh", "-c", script, "push", path, f"{mode:o}"], data=data, user=user)
        if done.status != 0:
            raise HostFault(
                f"cannot write {path} in the guest: {done.errors.decode(errors='replace').strip()}"
            )

    async def pull(self, path: str, *, user: str = USER) -> bytes:
        """Read a small file of the guest."""
        done = await self.run(["/bin/cat", "--", path], user=user)
        if done.status != 0:
            raise HostFault(
                f"cannot read {path} in the guest: {done.errors.decode(errors='replace').strip()}"
            )
        return done.output

    def environment(self, user: str = USER) -> dict[str, str]:
        """Return the environment that programs of `user` get."""
        uid = 0 if user == "root" else _guest_uid()
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "HOME": _home(user),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "XDG_RUNTIME_DIR": f"/run/user/{uid}",
            "XDG_SESSION_TYPE": "wayland",
            # Without a 3D renderer GTK would draw with an emulated GPU, ten times slower than on the CPU.
            "GSK_RENDERER": "cairo",
        }

    # Starting.

    def _running(self) -> asyncio.subprocess.Process:
        if self._qemu is None:
            raise HostFault("the virtual machine was not started")
        return self._qemu

    def _initramfs(self) -> bytes:
        uid = _guest_uid()
        settings = {
            "user": USER,
            "uid": str(uid),
            "gid": str(uid),
            "home": _home(USER),
            "gpu": "1" if self.config.gpu_socket is not None else "0",
            "network": "1" if self.config.network else "0",
            "shares": " ".join(_tag(index) for index in range(len(self.config.shares))),
        }
        for index, share in enumerate(self.config.shares):
            settings[f"{_tag(index)}_path"] = share.guest_path
            settings[f"{_tag(index)}_mode"] = "ro" if share.read_only else "rw"
        return initramfs.build(self.config.image, settings, share_modules=bool(self.config.shares))

    async def _launch(self, agent: socket.socket) -> asyncio.subprocess.Process:
        argv = self.config.image.command(self._qemu_command(agent.fileno()))
        with (self._directory / "qemu.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *argv,
                env=root.program_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(agent.fileno(),),
                # An interrupt at the terminal is for us, who switch the machine off.
                start_new_session=True,
            )

    def _qemu_command(self, agent_fd: int) -> list[str]:
        config = self.config
        processor = (
            ["-accel", "kvm", "-cpu", "host"]
            if config.kvm
            else ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]
        )
        command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            *processor, "-smp", str(config.cpus), "-bios", "qboot.rom",
            *self._memory_and_gpu(),
            "-kernel", str(config.image.kernel), "-initrd", str(self._directory / "initramfs"),
            "-append", _KERNEL_COMMAND_LINE,
            "-chardev", f"file,id=console,path={_escape(self._directory)}/console.log",
            "-serial", "chardev:console",
            "-drive", f"file={_escape(config.image.disk)},if=virtio,format=raw,readonly=on",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,fd={agent_fd}",
            "-device", f"virtserialport,chardev=agent,name={frames.PORT}",
        ]  # fmt: skip
        for index, share in enumerate(config.shares):
            access = ",readonly=on" if share.read_only else ""
            path = _escape(share.host_path.resolve())
            command += [
                "-fsdev",
                f"local,id={_tag(index)},path={path},security_model=none,multidevs=remap{access}",
            ]
            command += ["-device", f"virtio-9p-pci,fsdev={_tag(index)},mount_tag={_tag(index)}"]
        if config.network:
            command += ["-nic", "user,model=virtio-net-pci"]
        return [*command, *config.qemu_extra]

    def _memory_and_gpu(self) -> list[str]:
        memory = f"{self.config.memory}M"
        if self.config.gpu_socket is None:
            return [
                "-M", "q35,memory-backend=ram",
                "-object", f"memory-backend-memfd,id=ram,size={memory},share=on",
            ]  # fmt: skip
        from crossdomain.device.qemu import qemu_arguments  # noqa: PLC0415

        return qemu_arguments(self.config.gpu_socket, memory=memory)

    async def _watch(self) -> None:
        """Close the agent's line when QEMU is gone: whoever waits for a program learns it."""
        status = await self._running().wait()
        if self._link is not None:
            self._link.close(HostFault(f"the virtual machine ended (QEMU's status is {status})"))

    def _explain_start(self, error: Exception) -> CrossDomainError:
        said = ""
        with contextlib.suppress(OSError):
            said = self._last_line((self._directory / "qemu.log").read_text(errors="replace"))
        console = self._last_line(self.console)
        if isinstance(error, TimeoutError):
            return EnvironmentFault(
                f"the guest did not come up; its console ends with: {console or 'nothing'}",
                hint="give it more time or memory, or try --accel tcg",
            )
        return EnvironmentFault(
            f"QEMU ended: {said or error}", hint=f"the guest's console ends with: {console or 'nothing'}"
        )

    @staticmethod
    def _last_line(text: str) -> str:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""


_KERNEL_COMMAND_LINE: Final = " ".join(
    (
        "console=ttyS0 quiet panic=-1",
        # Nothing in the guest is worth protecting from another part of the guest.
        "mitigations=off",
        # Probes that find nothing here and take time when emulated.
        "no_timer_check tsc=reliable raid=noautodetect random.trust_cpu=on apparmor=0 audit=0",
    )
)


def _guest_uid() -> int:
    return os.getuid() or 1000


def _home(user: str) -> str:
    return "/root" if user == "root" else f"/home/{user}"


def _tag(index: int) -> str:
    return f"share{index}"


def _escape(path: Path) -> str:
    """Write a path as a value in QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
