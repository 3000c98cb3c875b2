"""One clock tells all ages, and it goes on while the machine sleeps."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import edgeseg
import numpy as np
import pytest
from edgeseg.core.errors import DataError
from edgeseg.core.labels import LabelMap
from edgeseg.core.source import Source
from edgeseg.runtime import clock
from edgeseg.runtime.health.limits import Limits
from edgeseg.runtime.pipeline import Pipeline, PipelineOptions
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output, Sink
from edgeseg.runtime.sinks.callback import CallbackSink
from edgeseg.runtime.sinks.shared_memory import SharedMemorySink
from edgeseg.runtime.sources.live import Interruption, LiveOptions, LiveSource
from edgeseg.runtime.status import Status

from .clocks import mixtures

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's"),
]

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ("runtime/clock.py", "tests/runtime/test_clock.py")
"""The one place that compares the clocks, and these tests."""

AN_HOUR = 3600.0
PATIENT = Limits(max_age_s=AN_HOUR / 2, frozen_after_s=0, check_frames=False, heartbeat_hz=50)
"""Nothing grows old while the test runs, however slow the machine is."""


class Asleep:
    """Lets CLOCK_BOOTTIME jump, while CLOCK_MONOTONIC stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._seconds, real = 0.0, time.clock_gettime
        slept = lambda number: self._seconds if number == time.CLOCK_BOOTTIME else 0.0  # noqa: E731
        monkeypatch.setattr(time, "clock_gettime", lambda number: real(number) + slept(number))

    def __call__(self, seconds: float) -> None:
        self._seconds += seconds


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Asleep:
    return Asleep(monkeypatch)


@pytest.fixture
def segmenter(bundle_folder: Path) -> Iterator[Segmenter]:
    with Segmenter(bundle_folder, threads=1) as seg:
        yield seg


class Camera(Source):
    """Gives a frame each time that it is let to."""

    name, live = "camera", True

    def __init__(self, frame_at: float | None = None) -> None:
        self.frame_at = frame_at
        self.let, self.ended = threading.Semaphore(0), False

    def read(self) -> np.ndarray | None:
        self.let.acquire()
        return None if self.ended else np.full((24, 36, 3), 90, np.uint8)

    def interrupt(self) -> None:
        self.ended = True
        self.let.release()

    def close(self) -> None:
        self.interrupt()


class Run:
    """A live pipeline in a thread of its own."""

    def __init__(self, camera: Camera, segmenter: Segmenter, *sinks: Sink) -> None:
        self.camera, self.results = camera, threading.Semaphore(0)
        options = PipelineOptions(on_result=lambda stats: self.results.release())
        self.pipeline = Pipeline(camera, segmenter, sinks, PATIENT, options)
        self._thread = threading.Thread(target=self.pipeline.run)
        self._thread.start()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipeline.stop()
        self._thread.join()

    def frame(self) -> None:
        self.camera.let.release()
        assert self.results.acquire(timeout=20)

    @property
    def verdict(self) -> tuple[bool, str]:
        (source,) = self.pipeline.status().sources
        return source.valid, source.reason


def test_a_mask_from_before_a_suspend_is_stale_at_once(segmenter: Segmenter, asleep: Asleep) -> None:
    with Run(Camera(), segmenter) as run:
        run.frame()
        assert run.verdict == (True, "")
        asleep(AN_HOUR)
        assert run.verdict == (False, "stale")
        (source,) = run.pipeline.status().sources
        assert source.age_seconds is not None
        assert source.age_seconds >= AN_HOUR
        run.frame()
        assert run.verdict == (True, "")


def test_a_frame_that_was_under_way_in_a_suspend_is_stale(
    segmenter: Segmenter, asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = segmenter.infer

    def infer_and_sleep(*arguments: object) -> object:
        asleep(AN_HOUR)
        return infer(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer", infer_and_sleep)
    with Run(Camera(), segmenter) as run:
        run.frame()
        assert run.verdict == (False, "stale")


@pytest.mark.parametrize(
    ("acted_on", "expected"), [(True, (False, "stale", {255})), (False, (True, "", {1}))]
)
def test_a_result_that_waited_for_its_sink_through_a_suspend_is_stale(
    segmenter: Segmenter, asleep: Asleep, acted_on: bool, expected: tuple[bool, str, set[int]]
) -> None:
    told, busy, go_on = [], threading.Semaphore(0), threading.Event()

    def take(output: Output) -> None:
        told.append(
            (output.result.valid, output.result.reason, set(np.unique(output.result.classes).tolist()))
        )
        busy.release()
        assert go_on.wait(20)

    sink = CallbackSink(take)
    sink.is_acted_on = acted_on
    with Run(Camera(), segmenter, sink) as run:
        run.frame()
        assert busy.acquire(timeout=20)
        run.frame()  # it waits for the sink
        asleep(AN_HOUR)
        go_on.set()
        assert busy.acquire(timeout=20)
    assert told == [(True, "", {1}), expected]


def test_shared_memory_tells_times_of_the_same_clock(asleep: Asleep, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.clock_gettime_ns
    monkeypatch.setattr(time, "clock_gettime_ns", lambda number: real(number) + round(AN_HOUR * 1e9))
    asleep(AN_HOUR)
    sink = SharedMemorySink(f"edgeseg-test-{os.getpid()}-clock", LabelMap.generic(3), (2, 3))
    try:
        frame = np.zeros((2, 3, 3), np.uint8)
        sink.write(Output(frame, Segmentation(frame[:, :, 0], 0, edgeseg.now()), "", lambda: frame))
        captured_ns, published_ns = (
            int(sink._memory.slots[0].head[name][0]) for name in ("captured_ns", "published_ns")
        )
        alive_ns = int(sink._memory.head["heartbeat_ns"][0])
        assert captured_ns <= published_ns <= edgeseg.now() * 1e9
        assert min(alive_ns, captured_ns) * 1e-9 - AN_HOUR > 0.5 * time.monotonic()
    finally:
        sink.close(commit=True)


def test_inference_has_not_hung_merely_because_the_machine_slept(
    segmenter: Segmenter, asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer, begun, go_on = segmenter.infer, threading.Event(), threading.Event()

    def wait_and_infer(*arguments: object) -> object:
        begun.set()
        assert go_on.wait(20)
        return infer(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer", wait_and_infer)
    with Run(Camera(), segmenter) as run:
        run.camera.let.release()
        assert begun.wait(20)
        asleep(AN_HOUR)
        status: Status = run.pipeline.status()  # twice the time that inference has would end the run
        assert status.inference_errors == {}
        go_on.set()
        assert run.results.acquire(timeout=20)


def test_what_buffers_kept_from_before_a_suspend_is_not_read(asleep: Asleep) -> None:
    class Buffered(Source):
        name, live = "buffered", True
        closed = False

        def read(self) -> np.ndarray | None:
            return np.zeros((2, 3, 3), np.uint8)

        def close(self) -> None:
            self.closed = True

    opened: list[Buffered] = []

    def open_next(interruption: Interruption) -> Source:
        opened.append(Buffered())
        return opened[-1]

    source = LiveSource("camera", open_next, LiveOptions(first_pause_s=0.001))
    assert source.read() is not None
    assert len(opened) == 1
    asleep(0.05)  # less than a frame's time is no matter
    assert source.read() is not None
    assert len(opened) == 1
    asleep(AN_HOUR)
    assert source.read() is not None
    assert len(opened) == 2
    assert opened[0].closed
    assert source.reconnects == 1
    assert source.connected
    assert source.read() is not None
    assert len(opened) == 2


def test_the_clock_is_that_of_the_kernel_and_public() -> None:
    assert edgeseg.now is clock.now
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    at, at_ns = edgeseg.now(), clock.now_ns()
    assert before <= at <= at_ns / 1e9 <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(clock.slept_seconds() - (before - time.monotonic())) < 30


def test_sleep_is_told_apart_from_a_process_that_was_stopped(
    asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, pauses = clock.slept_seconds(), time.monotonic, [0.0, 0.0, 7.0]
    stood = [0.0]

    def monotonic() -> float:
        stood[0] += pauses.pop() if pauses else 0.0
        return real() + stood[0]

    monkeypatch.setattr(time, "monotonic", monotonic)
    asleep(7.0)
    assert clock.slept_seconds() == pytest.approx(before, abs=1.0)


@pytest.mark.parametrize("wrong", [time.time(), float("nan"), float("inf")], ids=["wall", "nan", "inf"])
def test_a_frame_from_the_future_is_refused(segmenter: Segmenter, wrong: float) -> None:
    with pytest.raises(DataError, match=r"captured at .*, and it is \d+\.\d{3} now; .* edgeseg\.now\(\)"):
        segmenter(np.zeros((24, 36, 3), np.uint8), captured_at=wrong)


def test_a_moment_of_the_monotonic_clock_makes_a_result_older_never_younger(
    segmenter: Segmenter, asleep: Asleep
) -> None:
    asleep(AN_HOUR)
    result = segmenter(np.zeros((24, 36, 3), np.uint8), captured_at=time.monotonic())
    assert edgeseg.now() - result.captured_at >= AN_HOUR


def test_a_source_with_another_clock_gives_no_valid_result_and_is_told_of_once(
    segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), Run(Camera(frame_at=time.time()), segmenter) as run:
        run.frame()
        assert run.verdict == (False, "stale")
        run.frame()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("camera says that a frame was captured at ")
    assert "edgeseg.now()" in line


def test_no_module_mixes_the_two_clocks() -> None:
    parts = ("apps", "benchmarks", "cli", "core", "data", "embedding", "runtime", "tests")
    paths = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    asked = [path for path in paths if path.relative_to(ROOT).as_posix() not in KNOWN]
    # A module mixes them only where it asks the monotonic clock.
    reads = [path for path in asked if "monotonic" in path.read_text("utf-8")]
    assert len(reads) > 50
    assert [mixture for path in reads for mixture in mixtures(path)] == []


@pytest.mark.parametrize(
    "lines",
    [
        "age = time.monotonic() - result.captured_at",
        "at = now()\nif at > time.monotonic(): pass",
        "def f():\n    start = time.monotonic()\n    return max(start, source.frame_at)",
        "class A:\n    def f(self): return now() - self._at\n    def g(self): self._at = time.monotonic()",
        "def f(event): return event['monotonic_s'] - time.monotonic()",
        "Segmentation(classes, captured_at=time.monotonic())",
        "until = time.monotonic() + 5\nleft = until - clock.now()",
        "captured_at = time.monotonic() if live else 0.0",
    ],
)
def test_a_mixture_is_found(lines: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(lines)
    assert len(mixtures(tmp_path / "module.py")) == 1


def test_nothing_is_found_where_each_clock_keeps_to_itself(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "until = time.monotonic() + 5\n"
        "while time.monotonic() < until: age_s = now() - result.captured_at\n"
        "def f(at): return at - time.monotonic()\n"
        "at = now()\n"
        "seconds = now() - at\n"
        "busy = time.monotonic() - (until - 5) > seconds\n"
    )
    assert mixtures(tmp_path / "module.py") == []
