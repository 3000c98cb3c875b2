"""Several sources that share one segmenter: whose turn it is, who waits for whom, and who outlives whom."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from edgeseg.core.errors import OutputError, SourceError, UsageError
from edgeseg.runtime.health.limits import Limits
from edgeseg.runtime.pipeline import Pipeline, PipelineOptions, Stream
from edgeseg.runtime.pipeline.options import Conditions
from edgeseg.runtime.pipeline.stats import RunStats
from edgeseg.runtime.pipeline.streams import Captured, Channel, Intake
from edgeseg.runtime.pipeline.trace import FrameKey
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.steps import Inference, PreparedFrame

from .parts import LEVELS, FakeSink, FakeSource, fails, hangs, pauses

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("no_thread_stays")]


def slow_down(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, seconds: float, sizes: list[int] | None = None
) -> None:
    """Makes inference take its time, and notes how many frames it got at once."""
    infer_batch = segmenter.infer_batch

    def slowly(prepared: list[object], *args: object) -> object:
        if sizes is not None:
            sizes.append(len(prepared))
        time.sleep(seconds)
        return infer_batch(prepared, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer_batch", slowly)


def pair() -> tuple[FakeSink, FakeSink]:
    return FakeSink("a"), FakeSink("b")


def broken(name: str, at: int) -> FakeSource:
    return FakeSource(30, name, before=fails(at, SourceError(f"{name} broke")))


def full(name: str, at: int) -> FakeSink:
    return FakeSink(name, fails(at, OutputError("the disk is full")))


def test_each_source_has_its_own_frames_statistics_and_sinks(segmenter: Segmenter) -> None:
    a, b = pair()
    streams = [Stream(FakeSource(20, "first"), [a]), Stream(FakeSource(7, "second", size_hw=(50, 40)), [b])]
    report = Pipeline(streams, segmenter).run()
    assert (a.ids, b.ids) == (list(range(20)), list(range(7)))
    assert (a.commits, b.commits) == ([True], [True])
    assert {output.result.classes.shape for output in b.outputs} == {(50, 40)}
    assert (report.stats["frames"], report.stats["captured"], report.stats["dropped"]) == (27, 27, 0)
    first, second = report.stats["sources"]
    assert (first["source"], first["frames"], first["error"]) == ("first", 20, None)
    assert (second["source"], second["frames"], second["captured"]) == ("second", 7, 7)
    assert first["sinks"] == {"a": {"written": 20, "dropped": 0, "errors": 0, "error": None}}
    assert set(report.stats["busy"]) == {
        "capture 1",
        "capture 2",
        "preprocess",
        "inference",
        "decode",
        "a",
        "b",
    }
    assert all(0 <= share <= 1 for share in report.stats["busy"].values())


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_every_frame_keeps_its_own_image(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    sizes: list[int] = []
    slow_down(segmenter, monkeypatch, 0.002, sizes)
    sinks = [FakeSink(str(number)) for number in range(4)]
    streams = [Stream(FakeSource(24, size_hw=(20 + 4 * i, 30)), [sink]) for i, sink in enumerate(sinks)]
    Pipeline(streams, segmenter, options=PipelineOptions(batch=batch)).run()
    for sink in sinks:
        assert sink.ids == list(range(24))
        for output in sink.outputs:
            assert (output.result.classes == output.result.frame_id % 3).all()
            assert (output.frame_bgr == LEVELS[output.result.frame_id % 3]).all()
    assert max(sizes) <= batch
    assert sizes.count(batch) >= len(sizes) // 2 or batch > 4


def test_one_source_may_fill_a_batch(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    slow_down(segmenter, monkeypatch, 0.005, sizes)
    sink = FakeSink("sink")
    Pipeline(FakeSource(40), segmenter, [sink], options=PipelineOptions(batch=4)).run()
    assert sink.ids == list(range(40))
    assert max(sizes) == 4
    assert [int(output.result.classes[0, 0]) for output in sink.outputs] == [i % 3 for i in range(40)]


def test_a_fast_source_does_not_starve_another(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(segmenter, monkeypatch, 0.002)
    turns: list[str] = []
    a, b = pair()
    for sink in (a, b):
        monkeypatch.setattr(sink, "write", lambda output, name=sink.name: turns.append(name))
    fast, steady = FakeSource(10**9, "fast"), FakeSource(25, "steady", before=pauses(0.01))
    stopping = threading.Event()

    def end_with_steady(stats: RunStats) -> None:
        if turns.count("b") >= 24:
            stopping.set()

    options = PipelineOptions(stopping=stopping, on_result=end_with_steady)
    Pipeline([Stream(fast, [a]), Stream(steady, [b])], segmenter, options=options).run()
    assert turns.count("b") >= 24
    assert turns.count("a") > turns.count("b")


def test_equally_fast_sources_take_turns(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(segmenter, monkeypatch, 0.002)
    order: list[int] = []
    infer = segmenter.infer
    sources = {height: FakeSource(40, size_hw=(height, 30)) for height in (10, 20, 30)}

    def infer_when_all_wait(one: PreparedFrame) -> Inference:
        order.append(one.frame_size_hw[0])
        # Whoever has begun to read a frame has handed on the one before.
        while any(source.next < min(40, order.count(height) + 2) for height, source in sources.items()):
            time.sleep(0.001)
        return infer(one)

    monkeypatch.setattr(segmenter, "infer", infer_when_all_wait)
    Pipeline([Stream(source) for source in sources.values()], segmenter).run()
    assert len(order) == 120
    turns = [sorted(order[start : start + 3]) for start in range(12, 90)]
    assert turns == [[10, 20, 30]] * 78


def test_the_intake_goes_round(segmenter: Segmenter) -> None:
    intake = Intake()
    run = Conditions(segmenter.labels, Limits(), PipelineOptions(), threading.Event(), intake.notify)
    channels = [Channel(n, str(n), Stream(FakeSource(0)), run) for n in (1, 2, 3)]
    intake.watch(channels)

    def put(channel: Channel, *frames: int) -> None:
        for frame in frames:
            image = np.zeros((1, 1, 3), np.uint8)
            assert channel.captured.put(
                Captured(channel, image, FrameKey(channel.number, frame), 0, 0, ""), timeout=0
            )

    def take(most: int) -> list[tuple[int, int]]:
        return [tuple(item.key) for item in intake.take(most)[0]]

    put(channels[0], 0, 1)
    put(channels[1], 0, 1)
    put(channels[2], 0)
    first, second, third = take(1)[0], take(1)[0], take(1)[0]
    assert {first, second, third} == {(1, 0), (2, 0), (3, 0)}
    put(channels[0], 2)
    assert sorted(take(8)) == [(1, 1), (1, 2), (2, 1)]
    put(channels[2], 1)
    for channel in channels:
        channel.captured.close()
    frames, ended = intake.take(8)
    assert [item.key for item in frames] == [(3, 1)]
    assert {channel.number for channel in ended} == {1, 2, 3}
    assert intake.take(8) == ([], [])


def test_a_slow_sink_holds_back_its_own_source_alone(segmenter: Segmenter) -> None:
    quick = FakeSink("quick")
    slow = FakeSink("slow", hangs(quick.closed))  # it takes no frame before the other's output is whole
    Pipeline([Stream(FakeSource(40), [slow]), Stream(FakeSource(40), [quick])], segmenter).run()
    assert (slow.ids, quick.ids) == (list(range(40)), list(range(40)))


def test_a_sink_that_hangs_is_given_up_and_no_other_stream_waits(segmenter: Segmenter) -> None:
    release = threading.Event()
    hanging, good = FakeSink("hanging", hangs(release)), FakeSink("good")
    streams = [Stream(FakeSource(40), [hanging]), Stream(FakeSource(40), [good])]
    report = Pipeline(streams, segmenter, options=PipelineOptions(patience_seconds=1.0)).run()
    release.set()
    assert good.ids == list(range(40))
    assert str(report.failures["hanging"]) == "hanging has not taken a frame for 1 s and was given up"
    assert report.stats["frames"] == 80


def test_a_source_that_fails_does_not_end_the_others(segmenter: Segmenter) -> None:
    a, b = pair()
    told: list[tuple[str, str]] = []
    streams = [Stream(broken("broken", at=5), [a]), Stream(FakeSource(30, "whole"), [b])]
    options = PipelineOptions(on_failure=lambda name, error: told.append((name, str(error))))
    report = Pipeline(streams, segmenter, options=options).run()
    assert b.ids == list(range(30))
    assert (a.commits, b.commits) == ([False], [True])
    assert told == [("broken", "broken broke")]
    assert {name: str(error) for name, error in report.failures.items()} == {"broken": "broken broke"}
    assert [source["error"] for source in report.stats["sources"]] == ["broken broke", None]


def test_sources_that_all_fail_are_all_told(segmenter: Segmenter) -> None:
    streams = [Stream(broken("counting", at=number)) for number in (0, 3)]
    report = Pipeline(streams, segmenter).run()
    assert list(report.failures) == ["counting", "counting (2)"]


def test_a_failing_sink_stops_nothing_else(segmenter: Segmenter) -> None:
    failing, good = full("failing", at=2), FakeSink("good")
    report = Pipeline([Stream(FakeSource(20), [failing]), Stream(FakeSource(20), [good])], segmenter).run()
    assert (failing.commits, good.commits) == ([False], [True])
    assert list(report.failures) == ["failing"]
    assert [source["frames"] for source in report.stats["sources"]] == [20, 20]


def test_failures_of_sinks_with_one_name_are_both_told(segmenter: Segmenter) -> None:
    streams = [Stream(FakeSource(5), [full("disk", at=0)]) for _ in range(2)]
    assert list(Pipeline(streams, segmenter).run().failures) == ["disk", "disk of fake (2)"]


def test_the_number_of_frames_is_that_of_each_source(segmenter: Segmenter) -> None:
    a, b = pair()
    streams = [Stream(FakeSource(10**9), [a]), Stream(FakeSource(10**9), [b])]
    report = Pipeline(streams, segmenter, options=PipelineOptions(max_frames=6, batch=4)).run()
    assert (a.ids, b.ids) == (list(range(6)), list(range(6)))
    assert report.stats["frames"] == 12


def test_live_sources_and_files_mix(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(segmenter, monkeypatch, 0.02)
    a, b = pair()
    camera, film = FakeSource(60, "camera", live=True, before=pauses(0.004)), FakeSource(12, "film")
    report = Pipeline([Stream(camera, [a]), Stream(film, [b])], segmenter).run()
    assert b.ids == list(range(12))
    assert a.ids[-1] == 59
    live = report.stats["sources"][0]
    assert live["dropped"] > 0
    assert live["frames"] + live["dropped"] == live["captured"] == 60
    assert "capture 1" not in report.stats["busy"]


def test_the_network_gets_the_newest_live_frame(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FakeSource(80, live=True, before=pauses(0.004))
    lags: list[int] = []
    infer = segmenter.infer

    def slow_infer(prepared: object) -> object:
        lags.append(source.next - 1 - prepared.frame_id)  # type: ignore[attr-defined]
        time.sleep(0.02)
        return infer(prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(segmenter, "infer", slow_infer)
    Pipeline(source, segmenter).run()
    # Five frames come while one is inferred: one that had been made ready ahead would be four behind.
    assert min(lags[3:]) <= 1


@pytest.mark.parametrize("when", ["before", "at once", "later"])
@pytest.mark.parametrize("live", [False, True])
def test_it_can_be_stopped_at_any_time(segmenter: Segmenter, when: str, live: bool) -> None:
    sinks = [FakeSink(str(number), pauses(0.002)) for number in range(3)]
    streams = [Stream(FakeSource(10**9, live=live, before=pauses(0.001 * live)), [sink]) for sink in sinks]
    stopping = threading.Event()

    def stop(stats: RunStats) -> None:
        if when == "at once" or stats.frames == 30:
            stopping.set()

    options = PipelineOptions(batch=2, stopping=stopping, on_result=stop)
    pipeline = Pipeline(streams, segmenter, options=options)
    if when == "before":
        pipeline.stop()
    report = pipeline.run()
    assert report.failures == {}
    assert report.stats["frames"] == sum(source["frames"] for source in report.stats["sources"])
    assert [sink.commits for sink in sinks] == [[True]] * 3
    if not live:
        assert report.stats["frames"] == sum(len(sink.ids) for sink in sinks)


def test_it_can_be_stopped_while_a_sink_or_a_source_hangs(segmenter: Segmenter) -> None:
    release = threading.Event()
    stuck, good = FakeSink("stuck", hangs(release)), FakeSink("good")
    silent = FakeSource(10**9, "silent", before=hangs(release, at=3))
    streams = [Stream(FakeSource(10**9, "a"), [stuck]), Stream(silent, [good])]
    pipeline = Pipeline(streams, segmenter, options=PipelineOptions(patience_seconds=1.0))
    threading.Timer(0.2, pipeline.stop).start()
    report = pipeline.run()
    release.set()
    assert good.ids == [0, 1, 2]
    assert set(report.failures) == {"stuck"}
    assert "was given up" in str(report.failures["stuck"])


@pytest.mark.parametrize("stage", ["prepare", "infer_batch", "decode"])
def test_a_stage_that_breaks_ends_all(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def broken(*args: object) -> object:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(segmenter, stage, broken)
    sinks = pair()
    streams = [Stream(FakeSource(10**9), [sink]) for sink in sinks]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        Pipeline(streams, segmenter, options=PipelineOptions(batch=2)).run()
    assert [sink.commits for sink in sinks] == [[False], [False]]


def test_what_cannot_be_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(UsageError, match=r"^a pipeline needs a stream; got none$"):
        Pipeline([], segmenter)
    with pytest.raises(
        UsageError, match=r"^each stream has its own sinks; give them as Stream\(source, sinks\)$"
    ):
        Pipeline([Stream(FakeSource(1))], segmenter, [FakeSink("x")])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch": 0}, "batch is 0; expected 1 or more frames"),
        ({"max_frames": 0}, "max_frames is 0; expected 1 or more, or None for all frames"),
        ({"patience_seconds": -1.0}, "patience_seconds is -1.0; expected more than 0 seconds"),
        ({"recover_after_seconds": 0}, "recover_after_seconds is 0; expected more than 0 seconds"),
    ],
)
def test_an_option_out_of_its_range_is_refused(option: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        PipelineOptions(**option)


def test_a_sink_ends_with_its_own_source(segmenter: Segmenter) -> None:
    short, long, stopping = FakeSink("short"), FakeSink("long"), threading.Event()

    def stop_once_short_is_whole(stats: RunStats) -> None:
        if short.commits:
            stopping.set()

    streams = [Stream(FakeSource(3), [short]), Stream(FakeSource(10**9), [long])]
    options = PipelineOptions(stopping=stopping, on_result=stop_once_short_is_whole)
    Pipeline(streams, segmenter, options=options).run()
    assert short.ids == [0, 1, 2]
    assert len(long.ids) > 3
