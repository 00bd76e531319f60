"""What our capset 5 says."""

from crossdomain.abi.cross_domain import ChannelType, Feature, encode_capset


def capset(*, shares_files: bool = False) -> bytes:
    """The 32 bytes: Wayland channels, no dmabuf allocation, our extension.

    `shares_files` is for launchers on the same kernel.

    `supports_dmabuf` would promise that image requirements give dmabufs, and sommelier then insists
    on a compositor with zwp_linux_dmabuf_v1.
    """
    features = Feature.MAX_SEND | Feature.PIPE_CREDIT | Feature.POLICY | Feature.CLOCK
    if shares_files:
        features |= Feature.SHARE_FILES
    return encode_capset(1 << ChannelType.WAYLAND, features=features)
