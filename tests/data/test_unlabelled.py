"""Images without masks: found by folder, glob or video, and measured without decoding."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from edgeseg.core.errors import DataError, ImageError, OutputError
from edgeseg.core.source import Source
from edgeseg.data.frames import frames_in, identity_of, write_frames
from edgeseg.data.threads import in_threads
from edgeseg.data.unlabelled import find_images, is_video, measure

IMAGE = np.full((6, 10, 3), 50, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "deep").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "deep/c.webp", "d.bmp"):
        cv2.imwrite(str(root / name), IMAGE)
    for name in (".hidden.png", "._b.png", "notes.txt"):
        (root / name).write_text("none")
    return root


class TestFind:
    def test_a_folder_and_a_glob(self, folder: Path) -> None:
        assert [path.name for path in find_images(str(folder))] == ["a.JPG", "b.png", "d.bmp"]
        every = find_images(f"{folder}/**/*")
        assert [path.name for path in every] == ["a.JPG", "b.png", "d.bmp", "c.webp"]
        assert find_images(f"{folder}/b.png") == [folder / "b.png"]

    @pytest.mark.parametrize("name", ["", "absent", "x\0y", "a" * 300, "*.png"])
    def test_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(DataError, match="names no image; expected a folder, a glob in quotes"):
            find_images(name)

    def test_a_video_is_a_file_with_another_suffix(self, folder: Path) -> None:
        assert is_video(str(folder / "notes.txt"))
        assert not is_video(str(folder / "a.JPG"))
        assert not is_video(str(folder))


class TestMeasure:
    def test_every_form(self, folder: Path) -> None:
        assert measure(find_images(f"{folder}/**/*")) == [(6, 10)] * 4

    def test_a_damaged_one_is_named(self, folder: Path) -> None:
        data = (folder / "b.png").read_bytes()
        (folder / "b.png").write_bytes(data[:-20])
        with pytest.raises(ImageError, match=r"b\.png is damaged or truncated"):
            measure(find_images(str(folder)))

    def test_the_first_error_in_order_is_raised(self) -> None:
        def work(number: int) -> int:
            if number in (3, 5):
                raise DataError(f"number {number}")
            return number * 2

        assert in_threads(work, range(3)) == [0, 2, 4]
        with pytest.raises(DataError, match="number 3"):
            in_threads(work, range(100))


class Film(Source):
    """Gives frames of rising brightness; the second is faulty."""

    name = "film"

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0

    def read(self) -> npt.NDArray[np.uint8] | None:
        if self.done == self.count:
            return None
        self.frame_fault = "corrupt" if self.done == 1 else ""
        self.done += 1
        return np.full((8, 8, 3), 10 * self.done, np.uint8)

    def close(self) -> None:
        self.done = self.count


class TestFrames:
    IDENTITY: ClassVar[dict[str, object]] = {"video": "film", "every": 1}

    def test_whole_frames_are_written_and_found_again(self, tmp_path: Path) -> None:
        written = write_frames(Film(4), tmp_path / "frames", 1, self.IDENTITY)
        assert [path.name for path in written] == ["0000000.jpg", "0000002.jpg", "0000003.jpg"]
        assert frames_in(tmp_path / "frames", self.IDENTITY) == written
        assert frames_in(tmp_path / "frames", {**self.IDENTITY, "every": 2}) == []
        written[1].unlink()
        assert frames_in(tmp_path / "frames", self.IDENTITY) == []
        assert frames_in(tmp_path / "nowhere", self.IDENTITY) == []

    def test_a_folder_that_was_there_is_replaced(self, tmp_path: Path) -> None:
        write_frames(Film(4), tmp_path / "frames", 1, self.IDENTITY)
        write_frames(Film(1), tmp_path / "frames", 1, self.IDENTITY)
        assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["0000000.jpg", "frames.json"]
        assert [path.name for path in tmp_path.iterdir()] == ["frames"]

    def test_a_video_without_frames_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="film has no frame to learn from; name another --unlabelled"):
            write_frames(Film(0), tmp_path / "frames", 1, self.IDENTITY)
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot write the frames of film to "):
            write_frames(Film(2), tmp_path / "file/frames", 1, self.IDENTITY)

    def test_a_list_that_is_malformed(self, tmp_path: Path) -> None:
        (tmp_path / "frames.json").write_text("[]")
        with pytest.raises(DataError, match=r"is malformed .*; remove the folder"):
            frames_in(tmp_path, self.IDENTITY)

    def test_the_identity_is_the_file_s(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(b"one")
        first = identity_of(path, 3)
        assert first != identity_of(path, 4)
        path.write_bytes(b"other")
        assert first != identity_of(path, 3)
        with pytest.raises(DataError, match="cannot read the video"):
            identity_of(tmp_path / "absent.mp4", 3)
