"""What our capset 5 says."""

from crossdomain.abi.cross_domain import ChannelType, Feature, encode_capset


def capset() -> bytes:
    """The 32 bytes: Wayland channels, no dmabuf allocation, our extension.

    `supports_dmabuf` would promise that image requirements give dmabufs, and sommelier then insists
    on a compositor with zwp_linux_dmabuf_v1.
    """
    features = Feature.MAX_SEND | Feature.PIPE_CREDIT | Feature.POLICY | Feature.CLOCK
    return encode_capset(1 << ChannelType.WAYLAND, features=features)
