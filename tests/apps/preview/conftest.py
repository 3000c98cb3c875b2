"""A run that can be told how it is doing, and a preview server that watches it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.apps.preview.options import PreviewOptions
from edgeseg.apps.preview.server import PreviewServer
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import SOURCE_LOST
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output, Sink
from edgeseg.runtime.status import Board, DurationHistogram, FindingStatus, SinkStatus, SourceStatus, Status

LABELS = LabelMap.from_pairs([("road", (128, 64, 128)), ("car", (0, 0, 200)), ("tree", (40, 160, 40))])
GENEROUS_SECONDS = 20.0


def source_status(number: int = 0, **fields: object) -> SourceStatus:
    plain = SourceStatus(
        number=number,
        name="front camera",
        live=True,
        connected=True,
        problem="",
        reconnects=2,
        valid=True,
        reason="",
        age_seconds=0.04,
        frame_id=7,
        size_hw=(120, 160),
        fps=25.0,
        captured=100,
        results=90,
        invalid={"dark": 3},
        dropped=7,
        deadline_misses=4,
        latency_ms={"p50": 12.0, "p90": 15.0, "p99": 31.0},
        class_share={"road": 0.5, "car": 0.25, "tree": 0.25},
        sinks=(
            SinkStatus("preview", 90, 0),
            SinkStatus("events udp://user:secret@10.0.0.9:99", 80, 1, 2, True, "no route to host"),
            SinkStatus("video a.mp4", 5, 6),
            SinkStatus("video b.mp4", 7, 8),
            SinkStatus("shared memory front", 3, 0),
        ),
    )
    return replace(plain, **fields)


def run_status(*sources: SourceStatus, **fields: object) -> Status:
    sources = sources or (source_status(),)
    plain = Status(
        state="running",
        ready=all(source.valid for source in sources),
        uptime_seconds=60.0,
        sources=sources,
        stages={"inference": DurationHistogram((0.01, 0.1), (5, 3, 1), 0.9)},
        inference_errors={"raised": 1, "hung": 0},
        bundle="lraspp",
        variant="int8-cpu",
        backend="onnxruntime",
        device="cpu",
        precision="int8",
        deadline_ms=50.0,
        board=Board({"cpu-thermal": 61.5}, ()),
    )
    return replace(plain, **fields)


def frame_of(step: int, size_hw: tuple[int, int] = (120, 160)) -> np.ndarray:
    frame = np.full((*size_hw, 3), 90, np.uint8)
    frame[:, :, 1] = np.linspace(20, 200, size_hw[1]).astype(np.uint8)
    frame[10:20, (step * 5) % size_hw[1] :] = 250
    return frame


def output_of(
    step: int = 0,
    size_hw: tuple[int, int] = (120, 160),
    reason: str = "",
    source: int = 0,
    beat: bool = False,
) -> Output:
    """An output whose classes move with each step: a car that drives over a road below trees."""
    classes = np.zeros(size_hw, np.uint8)
    classes[: size_hw[0] // 4] = 2
    left = (step * size_hw[1] // 16) % size_hw[1]
    classes[size_hw[0] // 2 : size_hw[0] * 3 // 4, left : left + size_hw[1] // 4] = 1
    if reason:
        classes[:] = 255
    result = Segmentation(classes, step, now(), not reason, reason, {"inference": 5.0})
    frame = frame_of(step, size_hw)
    return Output(frame, result, "", frame.copy, source, result.shares(len(LABELS)), beat, now())


class Recording:
    """A recording that does what it is told, or fails."""

    def __init__(self) -> None:
        self.active = False
        self.problem = ""

    def start(self) -> str:
        if self.problem:
            raise OutputError(self.problem)
        self.active = True
        return "takes/take-000001"

    def stop(self) -> str:
        self.active = False
        return "takes/take-000001"


class Run:
    """Plays a run to a preview server: outputs at a rate, and a status that fits them.

    Attributes:
        server: which watches it.
        messages: what the server prints.
        lost: whether the source is away: there are beats then, and no frames.
        slowest_write_seconds: of the sinks.
        writes: so far.
    """

    def __init__(
        self, options: PreviewOptions, numbers: tuple[int, ...] = (0,), size_hw: tuple[int, int] = (120, 160)
    ):
        self.recording = Recording()
        self.messages: list[str] = []
        self.lost = False
        self.status_hangs = threading.Event()
        self.status_fails = False
        self.status_fields: dict[str, object] = {}
        self.findings: dict[str, FindingStatus] = {}
        self.slowest_write_seconds = 0.0
        self.writes = 0
        self._newest_id: int | None = None
        self._numbers = numbers
        self._size_hw = size_hw
        self._period_seconds = 0.04
        self._ending = threading.Event()
        self._paused = threading.Event()
        self._captured_at = now()
        self.server = PreviewServer(options, LABELS, self.recording, self.messages.append)
        self._sinks: list[Sink] = [self.server.sink(number) for number in numbers]
        self._thread = threading.Thread(target=self._play, daemon=True)

    def status(self) -> Status:
        while self.status_hangs.is_set() and not self._ending.is_set():
            time.sleep(0.02)
        if self.status_fails:
            raise RuntimeError("the run cannot say")
        age = now() - self._captured_at
        fields = (
            {"valid": False, "reason": SOURCE_LOST, "connected": False, "problem": "unplugged"}
            if self.lost
            else {}
        )
        sources = [
            source_status(
                number,
                age_seconds=age,
                frame_id=self._newest_id,
                name=f"camera {number}",
                findings=self.findings,
                **fields,
            )
            for number in self._numbers
        ]
        return run_status(*sources, **self.status_fields)

    def begin(self, playing: bool = True) -> Run:
        self.server.start(self.status)
        if playing:
            self._thread.start()
        return self

    def write(self, output: Output) -> None:
        start = time.monotonic()
        self._sinks[max(0, output.source - 1)].write(output)
        self.slowest_write_seconds = max(self.slowest_write_seconds, time.monotonic() - start)
        self.writes += 1
        self._newest_id = output.result.frame_id

    def pause(self, paused: bool = True) -> None:
        self._paused.set() if paused else self._paused.clear()

    def end(self) -> None:
        self._ending.set()
        self.server.close()
        if self._thread.is_alive():
            self._thread.join(GENEROUS_SECONDS)

    def _play(self) -> None:
        step = 0
        while not self._ending.wait(self._period_seconds):
            if self._paused.is_set():
                continue
            for number in self._numbers:
                if self.lost:
                    self.write(output_of(step, self._size_hw, SOURCE_LOST, number, beat=True))
                else:
                    self._captured_at = now()
                    self.write(output_of(step, self._size_hw, source=number))
            step += 1


@pytest.fixture
def make_output() -> Callable[..., Output]:
    """``make_output(step, size_hw, reason, source, beat)``."""
    return output_of


@pytest.fixture
def make_source() -> Callable[..., SourceStatus]:
    """``make_source(number, **fields)``: how a source is doing."""
    return source_status


@pytest.fixture
def make_status() -> Callable[..., Status]:
    """``make_status(*sources, **fields)``: how a run is doing."""
    return run_status


@pytest.fixture
def labels() -> LabelMap:
    return LABELS


@pytest.fixture
def make_run() -> Iterator[Callable[..., Run]]:
    """``make_run(clients=8, token="", …)``: a run with a server, not yet begun. All end with the test."""
    yield from _runs()


@pytest.fixture(scope="module")
def make_lasting_run() -> Iterator[Callable[..., Run]]:
    """As ``make_run``, for all tests of a module."""
    yield from _runs()


def _runs() -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(
        numbers: tuple[int, ...] = (0,), size_hw: tuple[int, int] = (120, 160), **options: object
    ) -> Run:
        runs.append(Run(PreviewOptions(**options), numbers, size_hw))
        return runs[-1]

    yield make
    for run in runs:
        run.end()


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    """A run that plays, on loopback."""
    return make_run().begin()


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(condition, what)``: waits for it, and fails after a generous while."""
    return _until


def _until(true: Callable[[], object], what: str, seconds: float = GENEROUS_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.02)
