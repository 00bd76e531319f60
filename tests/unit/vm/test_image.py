"""An image is used when it is whole, made again when its recipe changes, and never seen half-made."""

import io
import os
import threading
from pathlib import Path

import pytest

from crossdomain.errors import EnvironmentFault
from crossdomain.vm import bootstrap, image
from crossdomain.vm.image import Image, Recipe
from crossdomain.vm.progress import Progress


class FakeBootstrap:
    """Stands in for mmdebstrap and mkfs: makes a root of one file, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs = 0
        self.failure: Exception | None = None
        self.before_end = threading.Event()
        self.before_end.set()
        monkeypatch.setattr(bootstrap, "plan", self.plan)
        monkeypatch.setattr(bootstrap, "run", self.run)
        monkeypatch.setattr(image, "_pack", self.pack)

    def plan(self, packages: tuple[str, ...], _mirror: str | None) -> bootstrap.Plan:
        return bootstrap.Plan(packages, (), ())

    def pack(self, made: Image, _log: Path) -> None:
        made.disk.write_bytes(b"disk")

    def run(self, _order: bootstrap.Plan, target: Path, _log: Path, _progress: Progress) -> None:
        self.runs += 1
        target.mkdir()
        (target / "file").write_text("half")
        self.before_end.wait(30)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBootstrap:
    monkeypatch.setattr(image, "_FREE_BYTES", 1)
    monkeypatch.setattr(image, "SYSTEM_DIRECTORY", Path("/nonexistent"))
    return FakeBootstrap(monkeypatch)


def obtain(folder: Path, recipe: Recipe | None = None) -> Image:
    return image.obtain(recipe or Recipe(), folder, stream=io.StringIO())


def test_the_second_use_makes_nothing(fake: FakeBootstrap, tmp_path: Path) -> None:
    assert obtain(tmp_path) == obtain(tmp_path)
    assert fake.runs == 1


def test_another_package_makes_another_image(fake: FakeBootstrap, tmp_path: Path) -> None:
    assert obtain(tmp_path) != obtain(tmp_path, Recipe(("hello",)))
    assert fake.runs == 2


def test_a_changed_way_of_making_it_makes_it_again(
    fake: FakeBootstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obtain(tmp_path)
    monkeypatch.setattr(bootstrap, "EXCLUDED", (*bootstrap.EXCLUDED, "/usr/share/more/*"))
    obtain(tmp_path)
    assert fake.runs == 2


def test_the_order_of_extra_packages_does_not_matter() -> None:
    assert Recipe(("a", "b")).key == Recipe(("b", "a", "a")).key != Recipe(("a",)).key


def test_what_failed_leaves_nothing_and_is_not_used(fake: FakeBootstrap, tmp_path: Path) -> None:
    fake.failure = EnvironmentFault("no space left", hint="free some")
    with pytest.raises(EnvironmentFault):
        obtain(tmp_path)
    assert image.find(Recipe(), tmp_path) is None
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("fake")
def test_the_rest_of_a_killed_process_is_swept_away(tmp_path: Path) -> None:
    partial = tmp_path / f"image-{Recipe().key}.partial"
    (partial / "root").mkdir(parents=True)
    (partial / "root/old").write_text("")
    made = obtain(tmp_path)
    assert not partial.exists()
    assert [path.name for path in made.root.iterdir()] == ["file"]


def test_a_half_made_image_is_not_found(fake: FakeBootstrap, tmp_path: Path) -> None:
    fake.before_end.clear()
    maker = threading.Thread(target=obtain, args=(tmp_path,))
    maker.start()
    while not fake.runs:
        os.sched_yield()
    assert image.find(Recipe(), tmp_path) is None
    fake.before_end.set()
    maker.join()
    assert image.find(Recipe(), tmp_path) is not None


def test_whoever_comes_second_waits_and_uses_the_first_ones(fake: FakeBootstrap, tmp_path: Path) -> None:
    fake.before_end.clear()
    made: list[Image] = []
    makers = [threading.Thread(target=lambda: made.append(obtain(tmp_path))) for _ in range(3)]
    for maker in makers:
        maker.start()
    while not fake.runs:
        os.sched_yield()
    fake.before_end.set()
    for maker in makers:
        maker.join()
    assert fake.runs == 1
    assert len(set(made)) == 1


@pytest.mark.usefixtures("fake")
def test_a_rebuilt_image_takes_the_old_ones_place(tmp_path: Path) -> None:
    old = obtain(tmp_path)
    (old.root / "mark").write_text("old")
    new = image.rebuild(Recipe(), tmp_path, stream=io.StringIO())
    assert new == old
    assert not (new.root / "mark").exists()


def test_too_little_space_is_told_before_anything_is_made(
    fake: FakeBootstrap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_FREE_BYTES", 1 << 60)
    with pytest.raises(EnvironmentFault, match="GB free") as caught:
        obtain(tmp_path)
    assert "--image-dir" in caught.value.hint
    assert fake.runs == 0


@pytest.mark.usefixtures("fake")
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write to") as caught:
        obtain(file / "below")
    assert "--image-dir" in caught.value.hint


@pytest.mark.usefixtures("fake")
def test_images_of_the_administrator_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = obtain(tmp_path / "system")
    monkeypatch.setattr(image, "SYSTEM_DIRECTORY", tmp_path / "system")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert image.find(Recipe()) == made


@pytest.mark.usefixtures("fake")
def test_removing_all_leaves_nothing(tmp_path: Path) -> None:
    obtain(tmp_path)
    obtain(tmp_path, Recipe(("hello",)))
    image.remove_all(tmp_path)
    assert list(tmp_path.iterdir()) == []
