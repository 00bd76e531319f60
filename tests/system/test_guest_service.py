"""One service in the guest, and applications that join it: windows without a wrapper that stays."""

import pytest

from crossdomain.vm.machine import Machine
from tests.system.conftest import Desktop, within

pytestmark = pytest.mark.asyncio(loop_scope="session")

_AWAIT = 'until [ -s "$XDG_RUNTIME_DIR/crossdomain-run.env" ]; do sleep 0.1; done'


async def test_applications_join_the_service_of_their_session(machine: Machine, desktop: Desktop) -> None:
    before = await machine.run(["sh", "-c", "ls -A $XDG_RUNTIME_DIR"])
    service = await machine.spawn(["crossdomain-run", "--service"])
    assert (await machine.run(["sh", "-c", _AWAIT])).status == 0

    app = await machine.spawn(["crossdomain-run", "foot", "--title=joined", "sleep", "1000"])
    await desktop.put(await desktop.window("joined"), 20, 20)
    await desktop.keep("guest-service")
    shell = "set -a; . $XDG_RUNTIME_DIR/crossdomain-run.env; exec foot --title=by-hand sleep 1000"
    by_hand = await machine.spawn(["sh", "-c", shell])
    await desktop.window("by-hand")

    # The launcher has become the application.
    assert (await machine.run(["sh", "-c", "pgrep -fc '[c]rossdomain-(run|launcher)'"])).output == b"1\n"
    for process in (app, by_hand):
        process.send_signal(15, session=True)
        await within(process.wait(), what="the terminal's end")
    service.send_signal(15)
    assert await within(service.wait(), what="the service's end") == 0
    after = await machine.run(["sh", "-c", "ls -A $XDG_RUNTIME_DIR"])
    assert after.output == before.output
