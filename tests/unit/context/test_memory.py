"""Host memory, blobs and image requirements: sizes, seals and bounds."""

import fcntl
import os
from collections.abc import Generator

import pytest

from crossdomain.bridge.formats import layout
from crossdomain.context.blobs import Blobs, IdentifierCounter, is_dmabuf, size_of
from crossdomain.context.descriptors import Kind, classify, open_writer
from crossdomain.context.images import FORMATS, R8, STRIDE_ALIGNMENT, fourcc, image_requirements
from crossdomain.context.memory import PAGE_SIZE, HostMemory
from crossdomain.errors import GuestFault, HostFault, LimitExceeded, LocalError
from crossdomain.limits import MAX_BLOB_SIZE, MAX_IMAGE_SIZES
from crossdomain.wire.policy import Carriage


@pytest.fixture
def memory() -> Generator[HostMemory]:
    """Two pages, asked for with a few bytes less."""
    made = HostMemory.create(2 * PAGE_SIZE - 5)
    yield made
    made.close()


class TestHostMemory:
    def test_is_whole_zeroed_pages(self, memory: HostMemory) -> None:
        assert memory.size == os.fstat(memory.fd).st_size == 2 * PAGE_SIZE
        assert memory.read(0, memory.size) == bytes(2 * PAGE_SIZE)

    def test_can_neither_shrink_nor_grow(self, memory: HostMemory) -> None:
        for size in (0, PAGE_SIZE, 3 * PAGE_SIZE):
            with pytest.raises(PermissionError):
                os.ftruncate(memory.fd, size)

    def test_can_not_be_sealed_against_writing_by_whoever_gets_it(self, memory: HostMemory) -> None:
        with pytest.raises(PermissionError):
            fcntl.fcntl(memory.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)

    def test_mapping_export_and_copies_are_the_same_memory(self, memory: HostMemory) -> None:
        fd = memory.export()
        with memory.map() as mapping:
            mapping[10:15] = b"hello"
        assert memory.read(10, 5) == os.pread(fd, 5, 10) == b"hello"
        os.close(fd)

    def test_an_export_outlives_its_memory(self) -> None:
        memory = HostMemory.create(1)
        memory.write(0, b"x")
        fd = memory.export()
        memory.close()
        assert os.pread(fd, 1, 0) == b"x"
        os.close(fd)

    @pytest.mark.parametrize(
        ("offset", "length"), [(0, 8193), (8192, 1), (-1, 1), (8191, 2), (1 << 62, 1), (0, -1)]
    )
    def test_nothing_is_read_or_written_outside(self, memory: HostMemory, offset: int, length: int) -> None:
        with pytest.raises(GuestFault):
            memory.read(offset, length)
        with pytest.raises(GuestFault):
            memory.write(offset if length >= 0 else 8192, b"x" * max(length, 1))

    def test_the_last_byte_is_inside(self, memory: HostMemory) -> None:
        memory.write(8191, b"x")
        assert memory.read(8191, 1) == b"x"

    def test_the_largest_is_granted_and_costs_nothing(self) -> None:
        memory = HostMemory.create(MAX_BLOB_SIZE)
        assert os.fstat(memory.fd).st_blocks == 0
        memory.close()

    @pytest.mark.parametrize("size", [MAX_BLOB_SIZE + 1, 1 << 40, 1 << 63])
    def test_a_larger_one_is_refused(self, size: int) -> None:
        with pytest.raises(LimitExceeded):
            HostMemory.create(size)

    @pytest.mark.parametrize("size", [0, -1])
    def test_none_is_refused(self, size: int) -> None:
        with pytest.raises(GuestFault):
            HostMemory.create(size)

    def test_a_guest_that_names_what_it_destroyed_is_at_fault(self) -> None:
        memory = HostMemory.create(1)
        memory.close()
        memory.close()
        with pytest.raises(GuestFault, match="destroyed"):
            memory.read(0, 1)
        with pytest.raises(GuestFault, match="destroyed"):
            memory.write(0, b"x")
        with pytest.raises(GuestFault, match="destroyed"):
            memory.export()

    def test_mapping_after_close_is_our_mistake(self) -> None:
        memory = HostMemory.create(1)
        memory.close()
        with pytest.raises(LocalError):
            memory.map()


class TestReceivedFiles:
    @pytest.mark.parametrize("seals", [0, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW])
    def test_content_is_copied_whatever_the_seals(self, seals: int) -> None:
        fd = os.memfd_create("keymap", os.MFD_ALLOW_SEALING)
        os.write(fd, b"content")
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        blobs = Blobs(IdentifierCounter())
        identifier = blobs.receive(fd, 7)
        memory = blobs.take(identifier.identifier, PAGE_SIZE)
        assert memory.read(0, 9) == b"content\0\0"
        memory.close()

    def test_more_than_a_mib_is_copied_whole(self) -> None:
        content = os.urandom((3 << 20) + 17)
        fd = os.memfd_create("table")
        os.write(fd, content)
        blobs = Blobs(IdentifierCounter())
        identifier = blobs.receive(fd, len(content))
        memory = blobs.take(identifier.identifier, len(content))
        assert memory.read(0, len(content)) == content
        memory.close()

    def test_a_file_that_shrank_meanwhile_reads_as_zeroes(self) -> None:
        fd = os.memfd_create("keymap")
        os.write(fd, b"content")
        other = os.dup(fd)
        blobs = Blobs(IdentifierCounter())
        identifier = blobs.receive(fd, 7)
        os.ftruncate(other, 3)
        os.close(other)
        memory = blobs.take(identifier.identifier, 7)
        assert memory.read(0, 7) == b"con\0\0\0\0"
        memory.close()

    @pytest.mark.parametrize("size", [0, 2 * PAGE_SIZE, PAGE_SIZE + 1])
    def test_a_wrong_size_is_refused_and_the_file_given_up(self, size: int) -> None:
        fd = os.memfd_create("keymap")
        os.write(fd, b"content")
        blobs = Blobs(IdentifierCounter())
        identifier = blobs.receive(fd, 7)
        with pytest.raises(GuestFault, match="has 7 bytes"):
            blobs.take(identifier.identifier, size)
        assert blobs.untaken == 0

    @pytest.mark.parametrize(("size", "fault"), [(0, HostFault), (MAX_BLOB_SIZE + 1, LimitExceeded)])
    def test_a_file_that_nobody_could_map_is_refused(self, size: int, fault: type[Exception]) -> None:
        with pytest.raises(fault):
            Blobs(IdentifierCounter()).receive(os.memfd_create("keymap"), size)

    def test_what_is_not_taken_is_given_up_at_the_end(self) -> None:
        blobs = Blobs(IdentifierCounter())
        blobs.receive(os.memfd_create("keymap"), 7)
        blobs.close()
        assert blobs.untaken == 0


class TestImages:
    @pytest.mark.parametrize(
        ("code", "strides", "size"),
        [
            ("R8  ", (1000,), 10000),
            ("XR24", (4032,), 40320),
            ("AR24", (4032,), 40320),
            ("RG16", (2048,), 20480),
            ("RG24", (3008,), 30080),
            ("XB4H", (8000,), 80000),
            ("NV12", (1024, 1024), 15360),
            ("P010", (2048, 2048), 30720),
            ("YU12", (1024, 512, 512), 15360),
        ],
    )
    def test_strides_and_size_are_those_of_the_format(
        self, code: str, strides: tuple[int, ...], size: int
    ) -> None:
        found = image_requirements(1000, 10, fourcc(code))
        assert found.strides == (*strides, 0, 0, 0, 0)[:4]
        assert found.size == -(-size // PAGE_SIZE) * PAGE_SIZE

    def test_planes_follow_each_other(self) -> None:
        assert image_requirements(100, 100, fourcc("YU12")).offsets == (0, 12800, 16000, 0)

    def test_odd_sizes_round_the_colour_planes_up(self) -> None:
        found = image_requirements(65, 3, fourcc("NV12"))
        assert found.strides == (128, 128, 0, 0)
        assert found.offsets == (0, 384, 0, 0)

    @pytest.mark.parametrize("size", [(1, 1), (31, 33), (63, 65), (65, 63), (509, 269), (1921, 1081)])
    @pytest.mark.parametrize("code", ["NV12", "P010", "NV16"])
    def test_images_of_two_planes_are_aligned_and_lie_as_shared_memory_wants(
        self, code: str, size: tuple[int, int]
    ) -> None:
        found = image_requirements(*size, fourcc(code))
        assert [number % STRIDE_ALIGNMENT for number in (*found.strides, *found.offsets)] == [0] * 8
        lies = layout(fourcc(code), *size, found.strides[0])
        assert lies is not None
        assert [(plane.offset, plane.stride) for plane in lies.planes] == list(
            zip(found.offsets[:2], found.strides[:2], strict=True)
        )
        assert lies.size <= found.size < lies.size + PAGE_SIZE

    @pytest.mark.parametrize("code", FORMATS)
    def test_every_plane_of_every_format_lies_inside(self, code: int) -> None:
        found = image_requirements(63, 31, code)
        planes = FORMATS[code]
        ends = [
            offset + stride * -(-31 // plane.vertical)
            for plane, offset, stride in zip(planes, found.offsets, found.strides, strict=False)
        ]
        assert max(ends) <= found.size
        assert all(
            stride >= -(-63 // plane.horizontal) * plane.bytes_per_sample
            for plane, stride in zip(planes, found.strides, strict=False)
        )

    @pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (0, 0)])
    def test_no_pixels_are_refused(self, width: int, height: int) -> None:
        with pytest.raises(GuestFault, match="an image of"):
            image_requirements(width, height, R8)

    def test_the_largest_is_granted_and_one_more_byte_refused(self) -> None:
        assert image_requirements(MAX_BLOB_SIZE, 1, R8).size == MAX_BLOB_SIZE
        with pytest.raises(LimitExceeded):
            image_requirements(MAX_BLOB_SIZE + 1, 1, R8)
        with pytest.raises(LimitExceeded):
            image_requirements(2**32 - 1, 2**32 - 1, fourcc("XB4H"))

    def test_unknown_formats_are_refused(self) -> None:
        with pytest.raises(GuestFault, match="format 0x0"):
            image_requirements(1, 1, 0)

    def test_images_of_one_size_share_an_identifier(self) -> None:
        blobs = Blobs(IdentifierCounter())
        first = blobs.require_image(64, 64, fourcc("XR24"))
        second = blobs.require_image(16384, 1, R8)
        third = blobs.require_image(16385, 1, R8)
        assert (first.blob_id, second.blob_id, third.blob_id) == (2, 2, 3)

    def test_sizes_are_bounded(self) -> None:
        blobs = Blobs(IdentifierCounter())
        for pages in range(1, MAX_IMAGE_SIZES + 1):
            blobs.require_image(pages * PAGE_SIZE, 1, R8)
        blobs.require_image(PAGE_SIZE, 1, R8)
        with pytest.raises(LimitExceeded):
            blobs.require_image((MAX_IMAGE_SIZES + 1) * PAGE_SIZE, 1, R8)


class TestDescriptors:
    def test_a_file_is_a_blob_and_a_pipe_is_written(self) -> None:
        read_fd, write_fd = os.pipe()
        memfd = os.memfd_create("file")
        assert classify(memfd, Carriage.FILE) is Kind.BLOB
        assert classify(write_fd, None) is Kind.WRITER
        assert classify(read_fd, None) is Kind.OTHER
        assert classify(memfd, Carriage.PIPE) is Kind.WRITER
        assert classify(read_fd, Carriage.PIPE) is Kind.OTHER
        for fd in (read_fd, write_fd, memfd):
            os.close(fd)

    def test_only_a_fence_is_one(self) -> None:
        memfd, eventfd = os.memfd_create("file"), os.eventfd(0)
        assert classify(eventfd, Carriage.FENCE) is Kind.FENCE
        assert classify(eventfd, None) is Kind.OTHER
        assert classify(memfd, Carriage.FENCE) is Kind.OTHER
        for fd in (memfd, eventfd):
            os.close(fd)

    def test_a_memfd_is_no_dmabuf_and_a_pipe_has_no_size(self) -> None:
        memfd = os.memfd_create("/dmabuf:")
        read_fd, write_fd = os.pipe()
        assert not is_dmabuf(memfd)
        assert size_of(read_fd) is None
        for fd in (memfd, read_fd, write_fd):
            os.close(fd)

    def test_a_pipe_whose_reader_is_gone_can_still_be_opened(self) -> None:
        read_fd, write_fd = os.pipe()
        os.close(read_fd)
        writer = open_writer(write_fd)
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
        os.close(writer)
