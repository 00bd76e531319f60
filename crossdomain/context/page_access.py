"""Which pages of the guest one context may name: those whose key it shows, and those that it has claimed.

The rules are in `crossdomain.abi.pages`.
"""

from crossdomain.abi.pages import KEY_PREFIX, KEY_SIZE
from crossdomain.context.ports import MemoryDevice, Pages
from crossdomain.errors import GuestFault


class PageAccess:
    """One context's; what it claims is its own."""

    def __init__(self, device: MemoryDevice | None) -> None:
        """`device` is the VM's; None where it can have none."""
        self._device = device

    def open(self, source: int, key: bytes) -> Pages:
        """The pages of that resource.

        Raises:
            GuestFault: there are none, or others may name them.
        """
        pages = self._memory().find(source)
        if pages.owner is self:
            return pages
        if not key.startswith(KEY_PREFIX) or pages.read(0, KEY_SIZE) != key:
            raise GuestFault(f"the key of resource {source} is another")
        return pages

    def expect(self) -> None:
        """EXPECT_PAGES.

        Raises:
            GuestFault: there is no memory device.
        """
        self._memory().expect(self)

    def claim(self, source: int) -> bool:
        """CLAIM_PAGES; returns whether the pages are this context's.

        Raises:
            GuestFault: there are none.
        """
        try:
            return self._memory().find(source).owner is self
        finally:
            self.close()

    def close(self) -> None:
        """Expects nothing any more; may be called again."""
        if self._device is not None:
            self._device.forget(self)

    def _memory(self) -> MemoryDevice:
        if self._device is None:
            raise GuestFault("there is no memory device to read from")
        return self._device
