"""The contract of every sink that writes to the disk; a new one adds a maker to ``MAKERS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks import window
from edgeseg.runtime.sinks.base import Output, Sink
from edgeseg.runtime.sinks.masks import MasksSink
from edgeseg.runtime.sinks.video import VideoSink
from PIL import Image

LABELS = LabelMap.from_pairs([("road", (128, 64, 128)), ("car", (64, 0, 128))])


def output(
    frame_id: int, size_hw: tuple[int, int] = (40, 60), name: str = "", captured_at: float = 0.0
) -> Output:
    classes = np.zeros(size_hw, np.uint8)
    classes[:, : 1 + frame_id] = 1
    frame = np.full((*size_hw, 3), 20 * frame_id, np.uint8)
    result = Segmentation(classes, frame_id=frame_id, captured_at=captured_at)
    return Output(frame, result, name, draw=lambda: frame)


def make_video(path: Path, force: bool) -> Sink:
    return VideoSink(path, fps=10, force=force)


def make_masks(path: Path, force: bool) -> Sink:
    return MasksSink(path, LABELS, force=force)


MAKERS = [(make_video, "out.mp4"), (make_masks, "masks")]


@pytest.mark.parametrize(("make", "name"), MAKERS)
class TestContract:
    def test_the_output_appears_whole_at_the_end(
        self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str
    ) -> None:
        sink = make(tmp_path / name, False)
        for i in range(4):
            sink.write(output(i))
            assert not (tmp_path / name).exists()
        sink.close(commit=True)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_nothing_stays_where_it_is_not_kept(
        self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str
    ) -> None:
        sink = make(tmp_path / name, False)
        sink.write(output(0))
        sink.close(commit=False)
        assert list(tmp_path.iterdir()) == []

    def test_no_frame_is_no_output(
        self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str
    ) -> None:
        sink = make(tmp_path / name, False)
        with pytest.raises(OutputError, match="no frame came"):
            sink.close(commit=True)
        assert list(tmp_path.iterdir()) == []

    def test_what_exists_is_refused_without_force(
        self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str
    ) -> None:
        for force in (False, True):
            sink = make(tmp_path / name, force)
            sink.write(output(0))
            sink.close(commit=True)
        with pytest.raises(OutputError, match=rf"{name} exists; give --force to replace it, or another name"):
            make(tmp_path / name, False)

    def test_a_folder_that_cannot_be_written(
        self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match=r"cannot write .*: Not a directory|File exists"):
            make(tmp_path / "file" / name, False)

    def test_it_tells_what_it_is(self, tmp_path: Path, make: Callable[[Path, bool], Sink], name: str) -> None:
        assert name in make(tmp_path / name, False).name


def read_video(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def test_a_video_holds_every_frame(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", fps=10)
    for i in range(7):
        sink.write(output(i))
    sink.close(commit=True)
    frames = read_video(tmp_path / "v.mp4")
    assert len(frames) == 7
    # MPEG-4 is lossy, a few levels off a flat grey.
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx(
        [20 * i for i in range(7)], abs=4
    )


def test_frames_of_another_size_are_fitted_between_bars(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", fps=10)
    for size_hw in ((41, 61), (80, 60), (41, 61), (20, 120)):
        sink.write(output(9, size_hw))
    sink.close(commit=True)
    frames = read_video(tmp_path / "v.mp4")
    assert [frame.shape for frame in frames] == [(42, 62, 3)] * 4  # no line of an odd side is lost
    assert frames[1][20, 30].mean() > 150
    assert frames[1][20, 5].mean() < 40


def test_a_live_video_plays_as_fast_as_it_was_captured(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", fps=10, in_real_time=True)
    for i, captured_at in enumerate((100.0, 100.1, 100.5, 100.51, 101.0)):
        sink.write(output(i, captured_at=captured_at))
    sink.close(commit=True)
    assert len(read_video(tmp_path / "v.mp4")) == 11  # 0 to 1 s at 10 frames a second


def test_a_video_must_be_mp4(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.gif does not end in \.mp4"):
        VideoSink(tmp_path / "out.gif", fps=10)
    (tmp_path / "d.mp4").mkdir()
    with pytest.raises(OutputError, match=r"d\.mp4 is a folder"):
        VideoSink(tmp_path / "d.mp4", fps=10, force=True)


def test_a_video_that_lost_frames_is_not_kept(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", fps=10)
    for i in range(5):
        sink.write(output(i))
    sink._file.frames += 1  # as if the encoder had swallowed one
    with pytest.raises(
        OutputError, match=r"v\.mp4 is not whole \(5 of 6 frames reached the disk; is it full\?\)"
    ):
        sink.close(commit=True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_ends_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 3 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    sink = VideoSink(tmp_path / "v.mp4", fps=10)
    with pytest.raises(OutputError, match=r"the disk of .*v\.mp4 is full \(3 MiB left\)"):
        sink.write(output(0))
    sink.close(commit=False)
    assert list(tmp_path.iterdir()) == []


def test_masks_are_palette_pngs_with_their_images_names(tmp_path: Path) -> None:
    sink = MasksSink(tmp_path / "m", LABELS)
    for item in (output(0, name="street"), output(1), output(2, name="street")):
        sink.write(item)
    sink.close(commit=True)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "000001.png", "labelmap.txt", "street-000002.png", "street.png",
    ]  # fmt: skip
    mask = Image.open(tmp_path / "m" / "000001.png")
    assert mask.mode == "P"
    np.testing.assert_array_equal(np.asarray(mask), output(1).result.classes)
    assert tuple(np.asarray(mask.convert("RGB"))[0, 0]) == (64, 0, 128)
    assert LabelMap.read(tmp_path / "m" / "labelmap.txt") == LABELS


def test_masks_leave_other_files_in_peace(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "keep.txt").write_text("mine")
    (folder / "000001.png").write_text("old")
    sink = MasksSink(folder, LABELS, force=True)
    sink.write(output(1))
    sink.close(commit=True)
    assert (folder / "keep.txt").read_text() == "mine"
    assert Image.open(folder / "000001.png").size == (60, 40)
    with pytest.raises(OutputError, match=r"keep\.txt is a file; give the output the name of a folder"):
        MasksSink(folder / "keep.txt", LABELS, force=True)


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert window.why_no_window() == "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"


@pytest.mark.timeout(60)
def test_a_display_that_does_not_answer_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    assert window.why_no_window() == "OpenCV cannot open a window on this display"
