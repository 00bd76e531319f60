"""Whose policy counts: the host's where it has one, the launcher's own on any other."""

import pytest

from tests.unit.launcher.fake_channel import FakeChannel, RelayedClient, event, request


@pytest.mark.parametrize(("has_policy", "shown"), [(True, True), (False, False)])
def test_a_privileged_global_is_the_hosts_to_grant(has_policy: bool, shown: bool) -> None:
    client = RelayedClient(FakeChannel(has_policy=has_policy))
    registry = client.new_id()
    client.say(request("wl_display", "get_registry", 1, registry))
    offered = event("wl_registry", "global", registry, 1, "ext_session_lock_manager_v1", 1)
    client.channel.deliver(offered)
    assert client.hear() == offered * shown
    client.close()
