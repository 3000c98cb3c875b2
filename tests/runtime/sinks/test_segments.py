"""Videos in segments: whole whatever happens, numbered on, bounded."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.series import Series
from edgeseg.runtime.sinks.video import SegmentedVideoSink, VideoSink

WRITER = """
import resource, signal, sys, time
from pathlib import Path
import numpy as np
from edgeseg.core.errors import OutputError
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.video import SegmentedVideoSink

def output(number, noise):
    rng = np.random.Generator(np.random.PCG64(number))
    frame = rng.integers(0, 256, (64, 96, 3), np.uint8) if noise else np.full((64, 96, 3), 100, np.uint8)
    return Output(frame, Segmentation(np.zeros((64, 96), np.uint8), number), "", lambda: frame)

path = Path(sys.argv[1])
sink = SegmentedVideoSink(path, 10, 0.5)
"""
FOR_EVER = """
for number in range(10**6):
    sink.write(output(number, False))
    time.sleep(0.005)
"""
UNTIL_FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    for number in range(100):
        sink.write(output(number, number >= 10))
except OutputError as error:
    print(error)
sink.close(commit=False)
"""


def frames_of(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("v-*.mp4"))


def test_each_segment_has_its_frames_and_a_new_size_begins_a_new_one(
    tmp_path: Path, make_output: Callable[..., Output]
) -> None:
    sink = SegmentedVideoSink(tmp_path / "v.mp4", fps=10, segment_seconds=0.5)
    sizes_hw = [(40, 60)] * 7 + [(81, 121)] * 2 + [(40, 60)]
    for number, size_hw in enumerate(sizes_hw):
        sink.write(make_output(number, size_hw))
    sink.close(commit=True)
    written = [frames_of(path) for path in segments(tmp_path)]
    assert [path.name for path in segments(tmp_path)] == [f"v-{n:06d}.mp4" for n in (1, 2, 3, 4)]
    assert [(len(frames), frames[0].shape[:2]) for frames in written] == [
        (5, (40, 60)), (2, (40, 60)), (2, (82, 122)), (1, (40, 60)),
    ]  # fmt: skip
    # MPEG-4 is lossy, a few levels off a flat grey.
    means = [float(frame.mean()) for frames in written for frame in frames]
    assert means == pytest.approx([20 * number for number in range(10)], abs=4)


def test_a_live_run_plays_in_real_time_and_shows_that_nothing_came(
    tmp_path: Path, make_output: Callable[..., Output]
) -> None:
    sink = SegmentedVideoSink(tmp_path / "v.mp4", fps=10, segment_seconds=1, in_real_time=True)
    assert sink.beats
    sink.write(make_output(1, at=100.0))
    for tenth in range(2, 20, 2):  # the camera is gone; the frame is the last one there was, drawn anew
        sink.write(make_output(9, reason="source-lost", beat=True, at=100 + tenth / 10))
    sink.write(make_output(2, at=102.0))
    sink.close(commit=True)
    written = [frames_of(path) for path in segments(tmp_path)]
    assert [len(frames) for frames in written] == [10, 10, 1]  # two seconds and the last frame
    means = [float(frame.mean()) for frames in written for frame in frames]
    assert means == pytest.approx([20] + [180] * 18 + [40, 40], abs=5)


def test_before_the_first_frame_nothing_is_written_and_the_end_names_what_was(
    tmp_path: Path, make_output: Callable[..., Output]
) -> None:
    waiting = make_output(0, (720, 1280), reason="source-lost", beat=True, at=100.0)
    for came in (False, True):
        for sink in (
            SegmentedVideoSink(tmp_path / "v.mp4", fps=10, segment_seconds=0.5, in_real_time=True),
            VideoSink(tmp_path / "whole.mp4", fps=10, in_real_time=True),
        ):
            sink.write(waiting)
            for tenth in range(8 if came else 0):
                sink.write(make_output(tenth, at=101 + tenth / 10))
            sink.close(commit=True)
            if not came:
                assert sink.kept_as == ""
                assert list(tmp_path.iterdir()) == []
            elif isinstance(sink, VideoSink):
                assert sink.kept_as == f"video {tmp_path / 'whole.mp4'}"
                assert [frame.shape for frame in frames_of(tmp_path / "whole.mp4")] == [(40, 60, 3)] * 8
            else:
                assert sink.kept_as == f"video {tmp_path / 'v-000001.mp4'} to v-000002.mp4"
                assert [len(frames_of(path)) for path in segments(tmp_path)] == [5, 3]


def test_a_long_pause_without_news_is_shortened(tmp_path: Path, make_output: Callable[..., Output]) -> None:
    sink = SegmentedVideoSink(tmp_path / "v.mp4", fps=10, segment_seconds=60, in_real_time=True)
    for at in (100.0, 4000.0, 4000.1):
        sink.write(make_output(1, at=at))
    sink.close(commit=True)
    assert len(frames_of(tmp_path / "v-000001.mp4")) == 1 + 50 + 1


def test_the_oldest_make_room(tmp_path: Path, make_output: Callable[..., Output]) -> None:
    most_bytes = 2_000_000  # the encoder hands over a quarter of a megabyte at a time
    sink = SegmentedVideoSink(tmp_path / "v.mp4", 10, segment_seconds=60, most_bytes=most_bytes)
    seen = set()
    for number in range(120):
        sink.write(make_output(number, (256, 384), noise=True))
        seen |= {path.name for path in segments(tmp_path)}
        assert sum(path.stat().st_size for path in segments(tmp_path)) <= most_bytes
    sink.close(commit=True)
    left = segments(tmp_path)
    assert len(seen) > len(left) >= 2
    assert "v-000001.mp4" not in {path.name for path in left}
    assert all(frames_of(path) for path in left)


def test_numbers_go_on_and_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "v-000007.mp4").write_bytes(b"whole")
        (tmp_path / f".v-000008.partial-{int(dead.stdout)}.mp4").write_bytes(b"half")
        of_another = tmp_path / f".v-000011.partial-{living.pid}.mp4"
        of_another.write_bytes(b"being written")
        (tmp_path / "v-notes.mp4").write_bytes(b"mine")
        series = Series(tmp_path / "v.mp4")
        assert "v-000012" not in [path.name for path in tmp_path.iterdir()]
        partial = series.begin()
        partial.write_bytes(b"new")
        assert series.finish(partial) == tmp_path / "v-000012.mp4"
        assert {path.name for path in tmp_path.iterdir()} == {
            "v-000007.mp4", "v-000012.mp4", "v-notes.mp4", of_another.name,
        }  # fmt: skip
    finally:
        living.kill()
        living.wait()


def test_a_name_that_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"v\.avi does not end in \.mp4"):
        SegmentedVideoSink(tmp_path / "v.avi", 10, 60)


def test_a_kill_in_mid_recording_loses_the_last_segment_at_most(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    child = subprocess.Popen([sys.executable, "-c", WRITER + FOR_EVER, str(path)])
    try:
        deadline = time.monotonic() + 60
        while len(segments(tmp_path)) < 3 or not list(tmp_path.glob(".v-*")):
            assert time.monotonic() < deadline, "the child writes nothing"
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    whole = segments(tmp_path)
    assert [len(frames_of(each)) for each in whole] == [5] * len(whole)
    assert [int(each.stem[-6:]) for each in whole] == list(range(1, len(whole) + 1))
    SegmentedVideoSink(path, 10, 0.5).close(commit=True)
    assert segments(tmp_path) == whole
    assert sorted(tmp_path.iterdir()) == whole, "the new run has not removed what the old one left"


def test_a_full_disk_stops_the_video_and_keeps_what_was_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITER + UNTIL_FULL, str(tmp_path / "v.mp4")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "v.mp4 is not whole" in done.stdout
    assert "the segments before it are kept" in done.stdout
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["v-000001.mp4", "v-000002.mp4"]
    assert [len(frames_of(path)) for path in segments(tmp_path)] == [5, 5]


def test_a_disk_that_is_nearly_full_stops_the_video_and_keeps_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_output: Callable[..., Output]
) -> None:
    sink = SegmentedVideoSink(tmp_path / "v.mp4", 10, 60)
    sink.write(make_output(0))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("usage", (), {"free": 3 << 20}))
    sink._checked_at -= 10
    with pytest.raises(OutputError, match=r"the disk of .*v\.mp4 is full \(3 MiB left\); recording stopped"):
        sink.write(make_output(1))
    sink.close(commit=False)
    assert [len(frames_of(path)) for path in segments(tmp_path)] == [1]
