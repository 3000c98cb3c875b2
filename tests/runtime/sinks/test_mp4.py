"""MP4 files: the times of their frames, and what a codec holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.runtime.sinks import mp4
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.mp4 import Mp4File, codec_fps
from edgeseg.runtime.sinks.video import SegmentedVideoSink, VideoSink

VARYING = [i / 30 for i in range(30)] + [1 + 4 * i / 30 for i in range(8)]
Make = Callable[..., Output]


def write(
    path: Path, size_hw: tuple[int, int], fps: float = 25.0, times_s: Sequence[float | None] = (None,) * 3
) -> Path:
    file = Mp4File(path, path, fps, mp4.even_size(np.zeros((*size_hw, 3), np.uint8)))
    for number, time_s in enumerate(times_s):
        file.write(np.full((*size_hw, 3), 40 + number, np.uint8), time_s)
    file.end("nothing")
    return path


def first_frame(path: Path) -> np.ndarray:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    good, frame = capture.read()
    capture.release()
    assert good
    return frame


@pytest.mark.parametrize("fps", [19.26, 25.0, 999.99])
def test_each_frame_is_at_its_time(tmp_path: Path, films: Any, fps: float) -> None:
    path = write(tmp_path / "v.mp4", (40, 60), fps, VARYING)
    assert films.times_of(path) == pytest.approx(VARYING, abs=1e-3)
    assert films.seconds_of(path) == pytest.approx(VARYING[-1] + 4 / 30, abs=2e-3)


def test_times_of_hours_have_room(tmp_path: Path, films: Any) -> None:
    times_s = [0.0, 1.0, 86_400.0, 86_401.0]
    assert films.times_of(write(tmp_path / "v.mp4", (40, 60), 25.0, times_s)) == pytest.approx(
        times_s, abs=1e-3
    )


def test_a_film_of_one_rate_is_left_as_it_was_written(tmp_path: Path, films: Any) -> None:
    even = write(tmp_path / "a.mp4", (40, 60), 30.0, [round(7 + i / 30, 3) for i in range(20)])
    plain = write(tmp_path / "b.mp4", (40, 60), 30.0, [None] * 20)
    assert even.read_bytes() == plain.read_bytes()
    assert films.times_of(plain) == pytest.approx([i / 30 for i in range(20)], abs=1e-3)


def test_the_saved_film_of_a_film_has_its_times_and_a_hole_is_struck_through(
    tmp_path: Path, films: Any, make_output: Make
) -> None:
    struck = np.full((40, 60, 3), 200, np.uint8)
    sink = VideoSink(tmp_path / "v.mp4", fps=25)
    for number in (0, 1, 2, 6, 7):
        if number == 6:
            hole = make_output(2, reason="frames-missing", beat=True)
            sink.write(replace(hole, draw=lambda: struck, time_s=0.12))
        sink.write(replace(make_output(number), time_s=number / 25))
    sink.close(commit=True)
    assert sink.beats
    assert films.times_of(tmp_path / "v.mp4") == pytest.approx([0, 0.04, 0.08, 0.12, 0.24, 0.28], abs=1e-3)
    assert films.seconds_of(tmp_path / "v.mp4") == pytest.approx(0.32, abs=2e-3)


def test_segments_of_a_film_last_as_long_as_its_times_say(
    tmp_path: Path, films: Any, make_output: Make
) -> None:
    sink = SegmentedVideoSink(tmp_path / "v.mp4", fps=19.26, segment_seconds=1)
    for number, time_s in enumerate(VARYING):
        sink.write(replace(make_output(number), time_s=time_s))
    sink.close(commit=True)
    first, second = sorted(tmp_path.glob("v-*.mp4"))
    assert films.times_of(first) == pytest.approx(VARYING[:30], abs=1e-3)
    assert films.times_of(second) == pytest.approx([time_s - 1 for time_s in VARYING[30:]], abs=1e-3)


def test_a_live_film_has_no_times_of_its_own(tmp_path: Path, films: Any, make_output: Make) -> None:
    sink = VideoSink(tmp_path / "v.mp4", fps=10, in_real_time=True)
    for number in range(3):
        sink.write(replace(make_output(number, at=100 + number / 10), time_s=5.0 * number))
    sink.close(commit=True)
    assert films.times_of(tmp_path / "v.mp4") == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 64), (3, 3), (241, 321), (40, 61)])
def test_no_line_of_an_odd_size_is_lost(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    path = tmp_path / "v.mp4"
    image = np.full((*size_hw, 3), 60, np.uint8)
    image[-1], image[:, -1] = 220, 220
    file = Mp4File(path, path, 25.0, mp4.even_size(image))
    file.write(image)
    file.end("nothing")
    frame = first_frame(path)
    assert frame.shape[:2] == (height + height % 2, width + width % 2)
    assert frame[height - 1, width - 1].min() > 180


@pytest.mark.parametrize("size_hw", [(16, 9000), (9000, 16), (16, 8192)])
def test_what_mpeg_4_cannot_hold_is_written_in_another_codec_and_that_is_said(
    tmp_path: Path, size_hw: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        path = write(tmp_path / "v.mp4", size_hw)
    assert first_frame(path).shape[:2] == size_hw
    height, width = size_hw
    assert caplog.messages == [
        f"{path} is written as Motion JPEG: its frames are of {width} x {height} pixels, and MPEG-4 holds 8190 pixels"
        " a side"
    ]


def test_what_no_codec_holds_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"frames of 70000 x 2 pixels are larger than any codec of MP4 takes here"
    ):
        write(tmp_path / "v.mp4", (2, 70_000))
    assert list(tmp_path.iterdir()) == []


def test_a_build_without_the_usual_encoder_takes_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mp4, "_CODECS", (("none", "Nothing", 8190), *mp4._CODECS[1:]))
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "v.mp4", (40, 60))
    assert "OpenCV's build has no Nothing encoder" in caplog.text
    monkeypatch.setattr(mp4, "_CODECS", (("none", "Nothing", 8190),))
    with pytest.raises(OutputError, match=r"its build has no encoder for Nothing, or the disk is full"):
        write(tmp_path / "w.mp4", (40, 60))
    assert not (tmp_path / "w.mp4").exists()


def test_a_folder_that_is_gone_is_the_cause(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*v\.mp4: No such file or directory"):
        write(tmp_path / "gone/v.mp4", (40, 60))


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25.0, 25.0), (30000 / 1001, 29.97), (240.0123, 240.01), (999.99, 1000.0), (1000.0, 1000.0), (19.27835, 19.278),
        (0.0004, 0.01), (1e6, 65535.0),
    ],
)  # fmt: skip
def test_rates_fit_the_codecs_clock(tmp_path: Path, fps: float, expected: float) -> None:
    assert codec_fps(fps) == pytest.approx(expected)
    write(tmp_path / "v.mp4", (40, 60), fps)


@pytest.mark.parametrize("name", ["cam-2026-11-28T12:30:00.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_names_that_a_library_takes_for_something_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, make_output: Make
) -> None:
    monkeypatch.chdir(tmp_path)
    for sink in (VideoSink(Path(name), fps=10), SegmentedVideoSink(Path(name), fps=10, segment_seconds=1)):
        sink.write(make_output(1))
        sink.close(commit=True)
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{Path(name).stem}-000001.mp4"}
    assert Path(name).stat().st_size > 500
