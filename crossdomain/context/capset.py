"""What our capset 5 says."""

from typing import Final

from crossdomain.abi.cross_domain import ChannelType, Feature, encode_capset

_FEATURES: Final = (
    Feature.MAX_SEND
    | Feature.PIPE_CREDIT
    | Feature.POLICY
    | Feature.CLOCK
    | Feature.LASTING_PIPES
    | Feature.SYNC
    | Feature.SHARED_RING
)


def capset(
    *,
    shares_files: bool = False,
    has_pages: bool = False,
    shows_pages: bool = False,
    has_points: bool = False,
) -> bytes:
    """The 32 bytes: Wayland channels, no dmabuf allocation, our extension.

    `shares_files` is for launchers on the same kernel, `has_pages` for VMs, whose memory we see, and
    `shows_pages` for those whose memory this kernel makes dmabufs of, and `has_points` for those whose
    timelines the compositor may know.

    `supports_dmabuf` is 0, also where this kernel could make dmabufs of that memory (udmabuf).  It would
    promise that image requirements give dmabufs, and have a guest send them with zwp_linux_dmabuf_v1, on
    which sommelier insists then.  Guests do not see the compositor's: with it they would have the drivers
    of its GPU import whatever layout they name, and an image that a compositor does not take ends the
    client, which is why `ShownPages` says these requests itself, with what was tried before.  With 0 they
    send the same memory as a wl_shm_pool, which every compositor reads in place.
    """
    features = _FEATURES
    if shares_files:
        features |= Feature.SHARE_FILES
    if has_pages:
        features |= Feature.PAGES | Feature.CLAIM_PAGES
    if shows_pages:
        features |= Feature.SHOW_PAGES
    if has_points:
        features |= Feature.POINTS
    return encode_capset(1 << ChannelType.WAYLAND, features=features)
