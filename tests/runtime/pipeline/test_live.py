"""A live run never lies: what it says of its results while sources, network and sinks misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from edgeseg.core.errors import BackendError, OutputError, SessionError, SourceError
from edgeseg.core.source import Source
from edgeseg.runtime.health.limits import Limits
from edgeseg.runtime.pipeline import Pipeline, PipelineOptions, RunReport
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output, Sink
from edgeseg.runtime.status import Status

pytestmark = pytest.mark.timeout(60)

SOON = 10.0
"""Seconds. It takes less than one; whatever hangs here would take 20 and more."""

QUICK = Limits(max_age_s=0.4, frozen_after_s=0.5, heartbeat_hz=50, inference_timeout_s=0.5)
SECONDS = 20.0


class Camera(Source):
    """Gives a new frame every few milliseconds; does what it is told while it runs."""

    name, live = "camera", True

    def __init__(self) -> None:
        self.image: Callable[[int], np.ndarray] = lambda number: noise(number)
        self.fault = ""
        self.gone = self.hangs = False
        self.fails: SourceError | None = None
        self._interrupted = threading.Event()
        self._number = 0

    def read(self) -> np.ndarray | None:
        while self.gone or self.hangs:
            self.connected = not self.gone
            if self._interrupted.wait(0.005) and not self.hangs:
                return None
        self.connected = True
        if self.fails is not None:
            raise self.fails
        if self._interrupted.wait(0.01):
            return None
        self._number += 1
        self.frame_fault = self.fault
        return self.image(self._number)

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        self.hangs = self.gone = False
        self._interrupted.set()


class Watcher(Sink):
    """Keeps what it was told."""

    name, beats = "watcher", True

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.statuses: list[Status] = []
        self.commits: list[bool] = []

    def write(self, output: Output) -> None:
        self.outputs.append(output)

    def announce(self, status: Status) -> None:
        self.statuses.append(status)

    def close(self, commit: bool) -> None:
        self.commits.append(commit)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(60, 200, (24, 36, 3), np.uint8)


class Run:
    """A pipeline in a thread of its own."""

    def __init__(
        self,
        segmenter: Segmenter,
        limits: Limits = QUICK,
        sinks: tuple[Sink, ...] = (),
        gone: bool = False,
        **more: object,
    ) -> None:
        self.camera, self.watcher = Camera(), Watcher()
        self.camera.gone = gone
        options = PipelineOptions(**more)
        self.pipeline = Pipeline(self.camera, segmenter, [self.watcher, *sinks], limits, options)
        self.report: RunReport | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.report = self.pipeline.run()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}; now {self.now()}"
            time.sleep(0.005)

    def now(self) -> tuple[bool, str]:
        (source,) = self.pipeline.status().sources
        return source.valid, source.reason

    def becomes(self, reason: str) -> None:
        self.wait_for(lambda: self.now() == (not reason, reason), f"never became {reason or 'valid'}")

    def beat(self, reason: str) -> Output:
        """Waits until the last thing the sinks were given is a heartbeat with ``reason``."""

        def told() -> bool:
            last = self.watcher.outputs[-1]
            return last.beat and last.result.reason == reason

        self.wait_for(told, f"sinks were not told {reason}")
        return self.watcher.outputs[-1]

    def ends(self) -> RunReport:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        assert self.report is not None
        return self.report

    def stop(self) -> tuple[RunReport, float]:
        began_at = time.monotonic()
        self.pipeline.stop()
        report = self.ends()
        return report, time.monotonic() - began_at


@pytest.fixture
def start(segmenter: Segmenter) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(**more: object) -> Run:
        runs.append(Run(segmenter, **more))
        runs[-1].becomes("")
        # The status knows of a result before the sinks are given it.
        runs[-1].wait_for(lambda: runs[-1].watcher.outputs, "no sink was given a result")
        return runs[-1]

    yield begin
    for run in runs:
        run.camera.close()
        run.pipeline.stop()
        run._thread.join(SECONDS)
        assert not run._thread.is_alive()


def test_what_the_camera_shows_is_judged_and_the_class_map_is_void(start: Callable[..., Run]) -> None:
    run = start(limits=Limits(max_age_s=SECONDS, frozen_after_s=0.5, heartbeat_hz=50))
    for reason, image in {
        "dark": lambda number: np.full((24, 36, 3), number % 8, np.uint8),
        "saturated": lambda number: np.full((24, 36, 3), 255 - number % 4, np.uint8),
        "frozen": lambda number: noise(0),
    }.items():
        run.camera.image = image
        run.becomes(reason)
        run.camera.image = noise
        run.becomes("")
    run.camera.fault = "corrupt"
    run.becomes("corrupt")
    run.camera.fault = ""
    run.becomes("")
    report, _ = run.stop()
    invalid = [output.result for output in run.watcher.outputs if not output.result.valid]
    told = {result.reason for result in invalid}
    # Stale it is before the first frame.
    assert told - {"stale"} == {"dark", "saturated", "frozen", "corrupt"}
    assert all((result.classes == 255).all() for result in invalid)
    assert report.stats["invalid"].keys() == {"dark", "saturated", "frozen", "corrupt"}
    assert run.watcher.commits == [True]


def test_a_camera_that_stalls_or_goes_makes_the_result_stale_and_sinks_are_told(
    start: Callable[..., Run],
) -> None:
    run = start()
    for attribute, reason in (("hangs", "stale"), ("gone", "source-lost")):
        last = run.watcher.outputs[-1].result.frame_id
        setattr(run.camera, attribute, True)
        run.becomes(reason)
        beat = run.beat(reason)
        assert not beat.result.valid
        assert beat.result.frame_id >= last
        assert (beat.result.classes == 255).all()
        assert beat.overlay_bgr.shape == beat.frame_bgr.shape == (24, 36, 3)
        setattr(run.camera, attribute, False)
        run.becomes("")


def test_the_heart_beats_without_a_single_frame(segmenter: Segmenter) -> None:
    run = Run(segmenter, gone=True)
    run.becomes("source-lost")
    count = len(run.watcher.statuses)
    run.wait_for(lambda: len(run.watcher.statuses) > count + 5, "no heartbeat")
    assert not run.watcher.statuses[-1].ready
    report, seconds = run.stop()
    assert seconds < SOON
    assert report.failures == {}


def test_the_age_is_bounded_at_every_moment(start: Callable[..., Run]) -> None:
    run = start()
    run.camera.hangs = True
    began_at = time.monotonic()
    while time.monotonic() < began_at + 1.5:
        (source,) = run.pipeline.status().sources
        assert source.age_seconds is not None
        assert source.valid == (source.age_seconds <= QUICK.max_age_s)
        time.sleep(0.002)


def test_inference_that_fails_costs_frames_and_not_the_run(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    broken = threading.Event()
    right = segmenter.infer

    def infer(prepared: object, logits: bool = False) -> object:
        if broken.is_set():
            raise MemoryError("std::bad_alloc")
        return right(prepared, logits)

    monkeypatch.setattr(segmenter, "infer", infer)
    broken.set()
    run.becomes("backend-failed")
    run.becomes("")  # the network was opened again, and the new one is whole
    assert run.pipeline.status().inference_errors["out-of-memory"] >= 3
    report, _ = run.stop()
    assert (report.ended_by, report.failures) == (None, {})
    assert report.stats["invalid"]["backend-failed"] >= 3


def test_without_memory_for_any_result_the_run_goes_on(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()

    def no_room(*args: object, **more: object) -> np.ndarray:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.runtime.pipeline.heartbeat.np.full", no_room)
        run.camera.fault = (
            "corrupt"  # whose void class map there is no room for, neither here nor in the heartbeat
        )
        run.becomes("stale")
        count = run.pipeline.status().inference_errors["out-of-memory"]
        run.wait_for(
            lambda: run.pipeline.status().inference_errors["out-of-memory"] > count, "it went no further"
        )
    run.camera.fault = ""
    run.becomes("")


def test_a_network_that_fails_for_good_ends_the_run_and_keeps_what_there_is(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_age_s=0.4, heartbeat_hz=50, restarts=2)
    run = start(limits=limits)

    def infer(self: Segmenter, prepared: object, logits: bool = False) -> object:
        raise BackendError("the device is gone")

    monkeypatch.setattr(Segmenter, "infer", infer)
    report = run.ends()
    assert isinstance(report.ended_by, SessionError)
    assert report.ended_by.exit_status == 1
    assert "opening the network anew 2 times within 60 s did not help: the device is gone" in str(
        report.ended_by
    )
    assert run.watcher.commits == [True]


@pytest.mark.parametrize("stage", ["prepare", "decode"])
def test_other_stages_fail_like_inference(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    run = start()

    def fail(*args: object) -> object:
        raise RuntimeError("broken")

    monkeypatch.setattr(segmenter, stage, fail)
    run.becomes("backend-failed")
    run.becomes("")


def test_inference_that_hangs_is_told_and_ends_the_run(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    release = threading.Event()
    right = segmenter.infer

    def infer(prepared: object, logits: bool = False) -> object:
        release.wait(SECONDS)
        return right(prepared, logits)

    monkeypatch.setattr(segmenter, "infer", infer)
    run.wait_for(
        lambda: any(output.result.reason == "backend-failed" for output in run.watcher.outputs), "never told"
    )
    report = run.ends()
    release.set()
    assert "inference has not answered for" in str(report.ended_by)
    assert report.stuck
    assert report.stats["inference_errors"] == {"hung": 1}
    assert run.watcher.commits == [True]


def test_numbers_that_are_not_finite_are_told(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start()
    right = segmenter.backend.infer

    def infer(frame_nhwc: np.ndarray) -> np.ndarray:
        logits = right(frame_nhwc)
        logits[0, 0, 0, 0] = np.nan
        return logits

    monkeypatch.setattr(segmenter.backend, "infer", infer)
    run.becomes("not-finite")
    monkeypatch.undo()
    run.becomes("")
    assert run.pipeline.status().inference_errors["not-finite"] >= 1


def test_a_slow_network_gives_no_valid_result(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_age_s=0.2, heartbeat_hz=50, deadline_ms=100)
    run = start(limits=limits)
    right = segmenter.infer
    monkeypatch.setattr(
        segmenter, "infer", lambda prepared, logits=False: (time.sleep(0.3), right(prepared))[1]
    )
    run.wait_for(lambda: run.pipeline.status().sources[0].deadline_misses >= 2, "no deadline was missed")
    run.becomes("stale")
    monkeypatch.undo()
    run.becomes("")
    report, _ = run.stop()
    assert report.stats["invalid"]["stale"] >= 1
    assert report.stats["deadline_misses"] >= 2


def test_a_run_that_misses_its_deadline_steps_down_and_back(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()
    with segmenter.again() as smaller:
        right = segmenter.infer
        monkeypatch.setattr(
            segmenter,
            "infer",
            lambda prepared: (time.sleep(0.06 if slow.is_set() else 0), right(prepared))[1],
        )
        used = threading.Event()
        right_smaller = smaller.infer
        monkeypatch.setattr(smaller, "infer", lambda prepared: (used.set(), right_smaller(prepared))[1])
        limits = Limits(max_age_s=5, heartbeat_hz=50, deadline_ms=50)
        run = Run(segmenter, limits, degrade=[smaller, 0.5], recover_after_seconds=0.3)
        run.becomes("")
        assert run.pipeline.status().degraded == ""
        slow.set()
        run.wait_for(lambda: run.pipeline.status().degraded.startswith("fp32"), "never stepped down")
        run.wait_for(used.is_set, "the smaller network was never used")
        slow.clear()
        run.wait_for(lambda: run.pipeline.status().degraded == "", "never stepped back")
        run.stop()


class Bad(Sink):
    """Raises, or hangs, while it is told to."""

    def __init__(self, most_failures: int = 1) -> None:
        self.name, self.most_failures = "bad", most_failures
        self.raises = False
        self.hangs = threading.Event()
        self.hangs.set()
        self.written = 0

    def write(self, output: Output) -> None:
        self.hangs.wait(SECONDS)
        if self.raises:
            raise OutputError("no room")
        self.written += 1

    def close(self, commit: bool) -> None:
        return


def test_a_sink_that_fails_is_forgiven_so_often_then_disabled(start: Callable[..., Run]) -> None:
    bad = Bad(most_failures=40)
    run = start(sinks=(bad,))
    bad.raises = True
    run.wait_for(lambda: run.pipeline.status().sources[0].sinks[1].errors >= 2, "errors are not counted")
    bad.raises = False
    written = bad.written
    run.wait_for(lambda: bad.written > written, "it was not forgiven")
    bad.raises = True
    run.wait_for(lambda: run.pipeline.status().sources[0].sinks[1].disabled, "it was never disabled")
    assert run.now() == (True, "")
    report, _ = run.stop()
    assert str(report.failures["bad"]) == "no room"


def test_a_sink_that_blocks_is_given_up_while_the_run_goes_on(start: Callable[..., Run]) -> None:
    bad = Bad()
    run = start(sinks=(bad,), patience_seconds=0.3)
    bad.hangs.clear()
    run.wait_for(lambda: run.pipeline.status().sources[0].sinks[1].disabled, "it was never disabled")
    assert run.now() == (True, "")
    bad.hangs.set()
    report, _ = run.stop()
    assert "has not taken a frame for 0.3 s" in str(report.failures["bad"])


def test_a_camera_gone_for_good_ends_the_run_and_keeps_what_there_is(start: Callable[..., Run]) -> None:
    run = start()
    run.camera.fails = SourceError("camera has been gone for 3 s")
    report = run.ends()
    assert report.lost == ["camera"]
    assert str(report.failures["camera"]) == "camera has been gone for 3 s"
    assert run.watcher.commits == [True]


@pytest.mark.parametrize("what", ["nothing", "camera", "sink", "inference"])
def test_it_stops_within_a_second_whatever_hangs(
    start: Callable[..., Run], segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    bad = Bad()
    run = start(sinks=(bad,), limits=Limits(inference_timeout_s=60))
    release = threading.Event()
    if what == "camera":
        run.camera.hangs = True
        time.sleep(0.05)
    elif what == "sink":
        bad.hangs.clear()
        time.sleep(0.05)
    elif what == "inference":
        right = segmenter.infer
        monkeypatch.setattr(segmenter, "infer", lambda prepared: (release.wait(SECONDS), right(prepared))[1])
        time.sleep(0.2)
    report, seconds = run.stop()
    bad.hangs.set()
    release.set()
    assert seconds < SOON
    assert run.watcher.commits == [True]
    assert report.stuck == (what != "nothing")
    assert set(report.failures) == ({"bad"} if what == "sink" else set())
