"""C has the numbers of these modules."""

import pytest

from crossdomain.abi import cross_domain, local, pages
from crossdomain.limits import MAX_COPIED_BYTES
from crossdomain.native import lib


@pytest.mark.parametrize(
    ("native", "ours"),
    [
        (lib.XD_COMMAND_POLL, cross_domain.Command.POLL),
        (lib.XD_COMMAND_SEND, cross_domain.Command.SEND),
        (lib.XD_COMMAND_RECEIVE, cross_domain.Command.RECEIVE),
        (lib.XD_COMMAND_COPY_PAGES, cross_domain.Command.COPY_PAGES),
        (lib.XD_COMMAND_HEADER, cross_domain.HEADER.size),
        (lib.XD_SEND_RECEIVE_SIZE, cross_domain.SEND_RECEIVE_SIZE),
        (lib.XD_CHANNEL_RING, cross_domain.CHANNEL_RING),
        (lib.XD_RING_LOOKED_AT, cross_domain.RING_LOOKED_AT),
        (lib.XD_COPY_PAGES_SIZE, pages.COPY_PAGES.size),
        (lib.XD_KEY_SIZE, pages.KEY_SIZE),
        (lib.XD_LOCAL_HEADER_SIZE, local.HEADER.size),
        (lib.XD_LOCAL_MAX_PACKET, local.MAX_PACKET),
        (lib.XD_LOCAL_SUBMIT, local.ToDaemon.SUBMIT),
        (lib.XD_LOCAL_EVENT, local.ToLauncher.EVENT),
        (lib.XD_MAX_COPIED, MAX_COPIED_BYTES),
    ],
)
def test_c_has_the_number_of_the_module(native: int, ours: int) -> None:
    assert native == ours
