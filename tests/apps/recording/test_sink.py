"""Recordings: nothing lost but what was being written, bounded, switched on and off."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.apps.recording.reading import Recording
from edgeseg.apps.recording.sink import RecordingSink
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.sinks.base import Output

WRITER = """
import resource, signal, sys, time
from pathlib import Path
import numpy as np
from edgeseg.runtime.clock import now
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.apps.recording.sink import RecordingSink
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output

def output(number):
    frame = np.random.Generator(np.random.PCG64(number)).integers(0, 256, (24, 32, 3), np.uint8)
    classes = np.full((24, 32), number % 3, np.uint8)
    return Output(frame, Segmentation(classes, number, now()), "", lambda: frame)

sink = RecordingSink(Path(sys.argv[1]), LabelMap.generic(3), {"bundle": "tiny"}, 0.2)
"""
FOR_EVER = """
for number in range(10**6):
    sink.write(output(number))
    print(number, flush=True)
    time.sleep(0.002)
"""
UNTIL_FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for number in range(100):
    try:
        sink.write(output(number))
    except OutputError as error:
        print(number, error)
print(sink.active)
try:
    sink.close(commit=True)
except OutputError as error:
    print(error)
"""


def segments(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.edgerec"))


def ids(folder: Path, take: int | None = None) -> list[int]:
    return [frame.frame_id for frame in Recording(folder, take).frames()]


def test_everything_comes_back(
    tmp_path: Path, three_labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    sink = RecordingSink(tmp_path / "r", three_labels, {"bundle": "tiny", "threads": 2})
    outputs = [make_output(number, name=f"f{number}") for number in range(3)]
    outputs += [make_output(3, reason="dark"), make_output(4, size_hw=(31, 17))]
    for output in outputs:
        sink.write(output)
    sink.write(make_output(4, reason="source-lost", beat=True))
    sink.close(commit=True)
    recording = Recording(tmp_path / "r")
    frames = list(recording.frames())
    assert recording.labels == three_labels
    assert recording.run == {"bundle": "tiny", "threads": 2}
    assert recording.problems == []
    for frame, output in zip(frames, outputs, strict=True):
        result = output.result
        np.testing.assert_array_equal(frame.frame_bgr, output.frame_bgr)
        np.testing.assert_array_equal(frame.classes, result.classes)
        told = (frame.frame_id, frame.captured_at, frame.valid, frame.reason, frame.timings_ms, frame.name)
        assert told == (
            result.frame_id, result.captured_at, result.valid, result.reason, result.timings_ms, output.name,
        )  # fmt: skip


def test_it_is_switched_on_and_off_while_it_runs(
    tmp_path: Path, three_labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    folder = tmp_path / "r"
    sink = RecordingSink(folder, three_labels, {}, active=False)
    assert not folder.exists()
    sink.write(make_output(0))
    assert sink.stop() == ""
    assert sink.start() == sink.start() == str(folder / "take-0001")
    sink.write(make_output(1))
    assert sink.active
    assert sink.stop() == str(folder / "take-0001")
    sink.write(make_output(2))
    sink.start()
    assert sink.stop() == ""  # nothing came
    sink.start()
    sink.write(make_output(3))
    sink.close(commit=False)
    assert not sink.active
    takes = sorted(path.name for path in folder.iterdir())
    assert [ids(folder / take) for take in takes] == [[1], [3]]
    assert ids(folder) == [1, 3]


def test_switching_while_another_thread_writes(
    tmp_path: Path, three_labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    sink = RecordingSink(tmp_path / "r", three_labels, {}, segment_seconds=0.02)
    outputs, done = [make_output(number) for number in range(20)], threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            while not done.is_set():
                for output in outputs:
                    sink.write(output)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(20):
        sink.stop()
        sink.start()
        time.sleep(0.005)
    done.set()
    thread.join(60)
    sink.close(commit=True)
    assert errors == []
    recording = Recording(tmp_path / "r")
    assert sum(1 for _ in recording.frames()) > 0
    assert recording.problems == []


def test_the_oldest_make_room(
    tmp_path: Path,
    three_labels: LabelMap,
    make_output: Callable[..., Output],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeseg.apps.recording.sink._SYNC_SECONDS", 0.0)
    folder, most_bytes = tmp_path / "r", 200_000
    earlier = RecordingSink(folder, three_labels, {})
    earlier.write(make_output(0))
    earlier.close(commit=True)
    sink = RecordingSink(folder, three_labels, {}, most_bytes=most_bytes)
    for number in range(1, 80):
        sink.write(make_output(number))
        assert sum(path.stat().st_size for path in folder.rglob("*.edgerec")) <= most_bytes
    sink.close(commit=True)
    assert [path.name for path in folder.iterdir()] == ["take-0002"]
    left = ids(folder)
    assert left == list(range(left[0], 80))
    assert 10 < len(left) < 60
    assert len(segments(folder)) > 4


def test_a_kill_in_mid_recording_loses_the_frame_being_written_at_most(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER + FOR_EVER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        told = [int(child.stdout.readline())]
        while len(segments(folder)) < 3:
            told.append(int(child.stdout.readline()))
    finally:
        child.send_signal(signal.SIGKILL)
        # Not communicate(): that leaves out what readline() has already taken from the pipe.
        rest = child.stdout.read()
        child.wait(timeout=60)
    told += map(int, rest.split())
    recording = Recording(folder)
    frames = list(recording.frames())
    read = [frame.frame_id for frame in frames]
    assert read in (
        list(range(told[-1] + 1)),
        list(range(told[-1] + 2)),
    )  # the last may not have been told of
    for frame in frames:
        expected = np.random.Generator(np.random.PCG64(frame.frame_id)).integers(
            0, 256, (24, 32, 3), np.uint8
        )
        np.testing.assert_array_equal(frame.frame_bgr, expected)
    assert len(recording.problems) == 1
    assert (
        "was not ended, as after a kill" in recording.problems[0] or "is cut short" in recording.problems[0]
    )
    again = RecordingSink(folder, LabelMap.generic(3), {"bundle": "tiny"})
    assert again.start().endswith("take-0002")
    again.close(commit=True)
    assert ids(folder) == read


def test_a_full_disk_stops_the_recording_once_and_keeps_what_was_whole(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    done = subprocess.run(
        [sys.executable, "-c", WRITER + UNTIL_FULL, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told, active, at_the_end = done.stdout.splitlines()
    number, message = told.split(" ", 1)
    assert f"cannot record to {folder}: " in message
    assert "what was recorded until now is kept" in message
    assert active == "False"
    assert at_the_end == message
    assert ids(folder) == list(range(int(number)))
    assert int(number) >= 5


def test_a_disk_that_is_nearly_full_stops_the_recording_until_it_is_started_again(
    tmp_path: Path,
    three_labels: LabelMap,
    make_output: Callable[..., Output],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = RecordingSink(tmp_path / "r", three_labels, {})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: type("usage", (), {"free": 3 << 20}))
        with pytest.raises(OutputError, match=r"the disk of .*r is full \(3 MiB left\); recording stopped"):
            sink.write(make_output(0))
        sink.write(make_output(1))
    assert not sink.active
    sink.start()
    sink.write(make_output(2))
    sink.close(commit=True)
    assert ids(tmp_path / "r") == [2]


def test_a_recording_that_was_never_begun_leaves_nothing(tmp_path: Path, three_labels: LabelMap) -> None:
    sink = RecordingSink(tmp_path / "r", three_labels, {}, active=False)
    assert sink.idle
    sink.close(commit=True)
    assert not (tmp_path / "r").exists()
