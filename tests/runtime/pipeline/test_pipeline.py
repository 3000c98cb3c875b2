"""The pipeline's behaviour with sources and sinks made for the purpose. Every test has a time limit: none may hang."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from edgeseg.core.errors import OutputError, OutputGoneError, SourceError
from edgeseg.runtime.pipeline import Pipeline, PipelineOptions
from edgeseg.runtime.pipeline.stats import RunStats
from edgeseg.runtime.recycle import ArrayPool
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output, StopRequested
from edgeseg.runtime.sinks.callback import CallbackSink

from .parts import LEVELS, FakeSink, FakeSource, fails, hangs, pauses

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("no_thread_stays")]


def test_a_file_is_processed_whole_and_in_order(segmenter: Segmenter) -> None:
    sink = FakeSink()
    report = Pipeline(FakeSource(40), segmenter, [sink]).run()
    assert sink.ids == list(range(40))
    assert [int(output.frame_bgr[0, 0, 0]) for output in sink.outputs] == [LEVELS[i % 3] for i in range(40)]
    assert [output.name for output in sink.outputs[:2]] == ["frame-0", "frame-1"]
    assert sink.commits == [True]
    assert report.failures == {}
    assert (report.stats["frames"], report.stats["captured"], report.stats["dropped"]) == (40, 40, 0)
    assert set(report.stats["stages_ms"]) == {"preprocess", "inference", "decode"}
    assert report.stats["latency_ms"]["p50"] > 0
    assert report.stats["class_share"] == pytest.approx({"dark": 14 / 40, "grey": 13 / 40, "bright": 13 / 40})
    assert report.stats["sinks"]["sink"] == {"written": 40, "dropped": 0, "errors": 0, "error": None}
    assert report.stats["live"] is False


def test_a_sink_that_was_never_used_is_not_in_the_report(segmenter: Segmenter) -> None:
    class Unused(FakeSink):
        idle = True

    report = Pipeline(FakeSource(3), segmenter, [FakeSink(), Unused("recording r")]).run()
    assert list(report.stats["sinks"]) == ["sink"]
    assert "recording r" not in report.stats["busy"]


def test_a_slow_sink_holds_a_file_back_and_loses_nothing(segmenter: Segmenter) -> None:
    sink = FakeSink(before=pauses(0.01))
    Pipeline(FakeSource(30), segmenter, [sink]).run()
    assert sink.ids == list(range(30))


def test_a_live_source_drops_stale_frames(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = segmenter.infer

    def slow_infer(*args: object) -> object:
        time.sleep(0.03)
        return infer(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer", slow_infer)
    sink = FakeSink()
    report = Pipeline(FakeSource(60, live=True, before=pauses(0.005)), segmenter, [sink]).run()
    assert report.stats["captured"] == 60
    assert report.stats["dropped"] + report.stats["frames"] == 60
    assert report.stats["dropped"] > 0
    assert sink.ids == sorted(sink.ids)
    assert sink.ids[-1] == 59


def test_a_slow_sink_does_not_hold_a_live_source_back(segmenter: Segmenter) -> None:
    release = threading.Event()

    class Quick(FakeSink):
        def write(self, output: Output) -> None:
            super().write(output)
            if len(self.outputs) == 8:
                release.set()

        def close(self, commit: bool) -> None:
            release.set()
            super().close(commit)

    slow, quick = FakeSink("slow", hangs(release)), Quick("quick")
    report = Pipeline(FakeSource(60, live=True, before=pauses(0.01)), segmenter, [slow, quick]).run()
    assert len(quick.ids) == report.stats["frames"]
    assert report.stats["sinks"]["slow"]["dropped"] > 0
    assert slow.ids[-1] == quick.ids[-1]


def test_it_ends_after_so_many_frames(segmenter: Segmenter) -> None:
    sink = FakeSink()
    report = Pipeline(FakeSource(10**9), segmenter, [sink], options=PipelineOptions(max_frames=7)).run()
    assert sink.ids == list(range(7))
    assert report.stats["frames"] == 7
    assert sink.commits == [True]


def test_it_can_be_stopped_and_keeps_what_it_has(segmenter: Segmenter) -> None:
    sink, stopping = FakeSink(), threading.Event()
    options = PipelineOptions(stopping=stopping, on_result=lambda stats: stopping.set())
    report = Pipeline(FakeSource(10**9), segmenter, [sink], options=options).run()
    assert report.stats["frames"] == len(sink.ids) > 0
    assert sink.commits == [True]


def test_a_source_that_breaks_is_told_and_sinks_keep_nothing(segmenter: Segmenter) -> None:
    sinks = [FakeSink("a"), FakeSink("b", foreground=True)]
    broken = fails(9, SourceError("the fake source broke"))
    with pytest.raises(SourceError, match="the fake source broke"):
        Pipeline(FakeSource(40, before=broken), segmenter, sinks).run()
    assert [sink.commits for sink in sinks] == [[False], [False]]


@pytest.mark.parametrize("stage", ["infer", "decode"])
def test_a_stage_that_breaks_is_told(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def broken(*args: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(segmenter, stage, broken)
    sink = FakeSink()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        Pipeline(FakeSource(10**9), segmenter, [sink]).run()
    assert sink.commits == [False]


def test_a_failing_sink_stops_nothing_else(segmenter: Segmenter) -> None:
    failing, good = FakeSink("failing", fails(3, OutputError("the disk is full"))), FakeSink("good")
    told: list[tuple[str, str]] = []
    options = PipelineOptions(on_failure=lambda name, error: told.append((name, str(error))))
    report = Pipeline(FakeSource(30), segmenter, [failing, good], options=options).run()
    assert good.ids == list(range(30))
    assert failing.ids == [0, 1, 2]
    assert (failing.commits, good.commits) == ([False], [True])
    assert told == [("failing", "the disk is full")]
    assert {name: str(error) for name, error in report.failures.items()} == {"failing": "the disk is full"}
    assert report.stats["sinks"]["failing"] == {
        "written": 3,
        "dropped": 0,
        "errors": 1,
        "error": "the disk is full",
    }


def test_a_function_that_raises_is_told_by_kind_and_once_more_when_it_is_called_no_more(
    segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(output: Output) -> None:
        raise KeyError("x")

    with caplog.at_level(logging.DEBUG, "edgeseg"):
        report = Pipeline(FakeSource(20), segmenter, [CallbackSink(raising, "steering")]).run()
    assert report.stats["sinks"]["steering"]["error"] == "KeyError: 'x'"
    told = [(record.levelname, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    told = [each for each in told if each[1].startswith("steering")]
    assert told == [
        *[("WARNING", "steering failed: KeyError: 'x'", False), ("DEBUG", "steering failed there", True)] * 4,
        ("ERROR", "steering failed: KeyError: 'x'; it gets no more", True),
    ]


def test_a_target_that_has_gone_ends_its_sink_at_once(
    segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(output: Output) -> None:
        raise OutputGoneError("whoever read it has gone")

    sink, good = CallbackSink(gone, "steering"), FakeSink("good")
    report = Pipeline(FakeSource(20), segmenter, [sink, good]).run()
    assert report.stats["sinks"]["steering"]["errors"] == 1
    assert good.ids == list(range(20))
    told = [record.getMessage() for record in caplog.records]
    assert told == ["steering failed: whoever read it has gone"]


def test_a_sink_that_was_idle_all_the_time_is_not_among_the_busy(segmenter: Segmenter) -> None:
    class Idle(FakeSink):
        idle = True

    report = Pipeline(FakeSource(5), segmenter, [Idle("idle"), FakeSink("good")]).run()
    assert "good" in report.stats["busy"]
    assert "idle" not in report.stats["busy"]


def test_a_run_of_a_single_frame_has_a_rate(segmenter: Segmenter) -> None:
    stats = RunStats(segmenter.labels)
    classes = np.zeros((2, 2), np.uint8)
    assert stats.summary()["fps"] == 0
    stats.record(Segmentation(classes, captured_at=10.0), 10.25)
    assert stats.summary()["fps"] == 4
    stats.record(Segmentation(classes, captured_at=10.2), 10.75)
    assert stats.summary()["fps"] == 2


def test_a_sink_that_fails_to_close_is_reported(segmenter: Segmenter) -> None:
    sink = FakeSink(close_error=OutputError("not whole"))
    report = Pipeline(FakeSource(3), segmenter, [sink]).run()
    assert str(report.failures["sink"]) == "not whole"


def test_a_sink_that_hangs_is_given_up(segmenter: Segmenter) -> None:
    release = threading.Event()
    hanging, good = FakeSink("hanging", hangs(release)), FakeSink("good")
    options = PipelineOptions(patience_seconds=1.0)
    report = Pipeline(FakeSource(20), segmenter, [hanging, good], options=options).run()
    release.set()
    assert good.ids == list(range(20))
    assert str(report.failures["hanging"]) == "hanging has not taken a frame for 1 s and was given up"


def test_a_source_that_hangs_does_not_hold_the_end_up(segmenter: Segmenter) -> None:
    sink, stopping, release = FakeSink(), threading.Event(), threading.Event()
    source = FakeSource(10**9, before=hangs(release, at=5))

    def stop_after_five(stats: RunStats) -> None:
        if stats.frames == 5:
            stopping.set()

    options = PipelineOptions(stopping=stopping, on_result=stop_after_five)
    began_at = time.monotonic()
    report = Pipeline(source, segmenter, [sink], options=options).run()
    assert time.monotonic() - began_at < 15  # and not the 20 s that a source has otherwise
    release.set()
    assert sink.ids == list(range(5))
    assert sink.commits == [True]
    assert report.failures == {}


def test_a_sink_may_ask_for_the_end(segmenter: Segmenter) -> None:
    window, video = FakeSink("window", fails(4, StopRequested()), foreground=True), FakeSink("video")
    Pipeline(FakeSource(10**9), segmenter, [window, video]).run()
    assert len(window.outputs) == 4
    assert window.threads == {threading.current_thread()}
    assert threading.current_thread() not in video.threads
    assert video.commits == [True]


def test_a_sink_that_is_not_lossless_never_holds_a_file_back(segmenter: Segmenter) -> None:
    window = FakeSink("window", pauses(0.03), lossless=False)
    report = Pipeline(FakeSource(60), segmenter, [window]).run()
    assert report.stats["frames"] == 60
    assert window.ids[-1] == 59
    assert report.stats["sinks"]["window"]["dropped"] == 60 - len(window.ids)


def test_the_overlay_is_drawn_once_for_all_sinks(segmenter: Segmenter) -> None:
    sinks = [FakeSink("a"), FakeSink("b")]
    Pipeline(FakeSource(1), segmenter, sinks).run()
    assert sinks[0].outputs[0].overlay_bgr is sinks[1].outputs[0].overlay_bgr
    assert sinks[0].outputs[0].overlay_bgr.shape == (24, 36, 3)


def test_an_empty_source_gives_an_empty_report(segmenter: Segmenter) -> None:
    report = Pipeline(FakeSource(0), segmenter, [FakeSink()]).run()
    assert (report.stats["frames"], report.stats["fps"], report.stats["latency_ms"]) == (0, 0.0, {})


def test_stages_overlap(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink has frame 1, decode 2, inference 3 and the source 5: none goes on until all four are there."""
    together = threading.Barrier(4, timeout=20)

    def meets_at(number: int, stage: Callable[..., object]) -> Callable[..., object]:
        calls = itertools.count()

        def run(*args: object) -> object:
            if next(calls) == number:
                together.wait()
            return stage(*args)

        return run

    source, sink = FakeSource(8), FakeSink()
    places = ((source, "read", 5), (segmenter, "infer", 3), (segmenter, "decode", 2), (sink, "write", 1))
    for owner, name, number in places:
        monkeypatch.setattr(owner, name, meets_at(number, getattr(owner, name)))
    Pipeline(source, segmenter, [sink]).run()
    assert sink.ids == list(range(8))
    assert not together.broken


class PooledSource(FakeSource):
    """Frames in memory that is used again, as those of cameras and videos are."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames)
        self._pool = ArrayPool()

    def read(self) -> np.ndarray | None:
        if self.next == self._frames:
            return None
        self.next += 1
        frame = self._pool.take((240, 320, 3), np.uint8)
        frame.fill(self.next % 256)
        return frame


def test_a_steady_run_allocates_nothing(segmenter: Segmenter) -> None:
    sizes: dict[int, int] = {}

    def note(stats: RunStats) -> None:
        if stats.frames == 100:
            tracemalloc.reset_peak()
        if stats.frames in (100, 200):
            sizes[stats.frames] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        Pipeline(PooledSource(201), segmenter, options=PipelineOptions(on_result=note)).run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A frame is 225 KiB and its class map 75: if none were used again, 100 of them would be 29 MiB. How many are
    # under way at one moment depends on the machine.
    assert sizes[200] - sizes[100] < 1 << 20
    assert peak - sizes[100] < 2 << 20


@pytest.mark.measurement
def test_a_run_tells_who_was_busy_and_what_it_waited_for(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = segmenter.infer

    def slow_infer(*args: object) -> object:
        time.sleep(0.02)
        return infer(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer", slow_infer)
    report = Pipeline(FakeSource(40, before=pauses(0.005)), segmenter, [FakeSink()]).run()
    assert report.stats["bottleneck"] == "inference"
    assert 0 < report.stats["busy"]["capture"] < report.stats["busy"]["inference"]
    waiting = Pipeline(FakeSource(5, live=True, before=pauses(0.1)), segmenter).run()
    assert waiting.stats["bottleneck"] == ""
    assert "capture" not in waiting.stats["busy"]


@pytest.mark.measurement
def test_the_throughput_is_that_of_the_slowest_stage(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(stage: Callable[..., object], seconds: float) -> Callable[..., object]:
        def run(*args: object) -> object:
            time.sleep(seconds)
            return stage(*args)

        return run

    for name, seconds in (("prepare", 0.01), ("infer", 0.03), ("decode", 0.015)):
        monkeypatch.setattr(segmenter, name, slowly(getattr(segmenter, name), seconds))
    report = Pipeline(FakeSource(40, before=pauses(0.02)), segmenter, [FakeSink(before=pauses(0.02))]).run()
    # One after another the stages take 95 ms a frame. The rest of the slack is for a busy machine.
    assert 1 / report.stats["fps"] < 1.35 * 0.03
