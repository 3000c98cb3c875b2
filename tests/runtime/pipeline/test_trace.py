"""The trace of a run, read as a viewer would read it."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import OutputError, SourceError
from edgeseg.core.source import Source
from edgeseg.runtime.pipeline import Pipeline, PipelineOptions, Stream
from edgeseg.runtime.pipeline import trace as trace_module
from edgeseg.runtime.pipeline.trace import FrameKey, Trace
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sinks.base import Output, Sink

pytestmark = pytest.mark.timeout(30)

PAUSE = 0.01
STAGES = ("preprocess", "inference", "decode")


class Slow(Source):
    """Frames that take their time."""

    name = "slow"

    def __init__(self, frames: int, live: bool = False, fail_at: int = -1) -> None:
        self.left, self.live, self._fail_at = frames, live, fail_at

    def read(self) -> np.ndarray | None:
        if self.left == self._fail_at:
            raise SourceError("slow broke")
        if self.left == 0:
            return None
        self.left -= 1
        time.sleep(PAUSE / 4 if self.live else PAUSE)
        return np.full((24, 36, 3), 40, np.uint8)

    def close(self) -> None:
        pass


class Nothing(Sink):
    """Takes its time, and keeps nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, output: Output) -> None:
        time.sleep(PAUSE)

    def close(self, commit: bool) -> None:
        pass


def slowly(stage: Callable[..., object]) -> Callable[..., object]:
    def run(*args: object) -> object:
        time.sleep(PAUSE)
        return stage(*args)

    return run


@pytest.fixture
def segmenter(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    for name in ("prepare", "infer_batch", "decode"):
        monkeypatch.setattr(segmenter, name, slowly(getattr(segmenter, name)))
    return segmenter


def read(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text(encoding="ascii"))
    assert document["displayTimeUnit"] == "ms"
    events: list[dict[str, Any]] = document["traceEvents"]
    assert {event["pid"] for event in events} == {1}
    return events


def tracks(events: list[dict[str, Any]]) -> dict[int, str]:
    return {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}


def slices(events: list[dict[str, Any]]) -> dict[str, dict[tuple[int, int], tuple[float, float]]]:
    """Start and end of what each thread did with each frame, by the thread's name."""
    names, found = tracks(events), defaultdict(dict)
    for event in events:
        if event["ph"] == "X":
            args = event["args"]
            keys = [f"{args['source']}:{args['frame']}"] if "frame" in args else args["frames"]
            for key in keys:
                source, frame = key.split(":")
                found[names[event["tid"]]][int(source), int(frame)] = (
                    event["ts"],
                    event["ts"] + event["dur"],
                )
    return found


def test_every_frame_has_every_stage_in_order(segmenter: Segmenter, tmp_path: Path) -> None:
    with_trace = Trace(tmp_path / "t.json")
    Pipeline(Slow(20), segmenter, [Nothing("out")], options=PipelineOptions(trace=with_trace)).run()
    with_trace.close()
    events = read(tmp_path / "t.json")
    found = slices(events)
    order = {
        event["tid"]: event["args"]["sort_index"] for event in events if event["name"] == "thread_sort_index"
    }
    in_order = sorted(tracks(events).items(), key=lambda track: order[track[0]])
    assert [name for _, name in in_order] == ["capture", *STAGES, "out"]
    for frame in range(20):
        times = [found[name][0, frame] for name in ("capture", *STAGES, "out")]
        for (_, end), (start, _) in itertools.pairwise(times):
            assert end <= start + 0.2  # times are written to the tenth of a microsecond
    assert {path.name for path in tmp_path.iterdir()} == {"t.json", "tiny"}


def test_stages_of_neighbouring_frames_overlap(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five threads hold a frame each, and none goes on until all five are there; the trace shows it."""
    source, sink = Slow(8), Nothing("out")
    frames = {"capture": 5, "preprocess": 4, "inference": 3, "decode": 2, "out": 1}
    stages = (
        (source, "read"),
        (segmenter, "prepare"),
        (segmenter, "infer"),
        (segmenter, "decode"),
        (sink, "write"),
    )
    together = threading.Barrier(len(stages), timeout=20)

    def meets_at(frame: int, stage: Callable[..., object]) -> Callable[..., object]:
        calls = itertools.count()

        def run(*args: object) -> object:
            if next(calls) == frame:
                together.wait()
            return stage(*args)

        return run

    for (owner, name), frame in zip(stages, frames.values(), strict=True):
        monkeypatch.setattr(owner, name, meets_at(frame, getattr(owner, name)))
    with_trace = Trace(tmp_path / "t.json")
    Pipeline(source, segmenter, [sink], options=PipelineOptions(trace=with_trace)).run()
    with_trace.close()
    found = slices(read(tmp_path / "t.json"))
    spans = [found[stage][0, frame] for stage, frame in frames.items()]
    assert max(start for start, _ in spans) < min(end for _, end in spans)


def test_arrows_lead_a_frame_from_slice_to_slice(segmenter: Segmenter, tmp_path: Path) -> None:
    with_trace = Trace(tmp_path / "t.json")
    Pipeline(
        [Stream(Slow(8)), Stream(Slow(8))], segmenter, options=PipelineOptions(batch=2, trace=with_trace)
    ).run()
    with_trace.close()
    events = read(tmp_path / "t.json")
    found, names = slices(events), tracks(events)
    arrows = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            source, frame = map(int, event["id"].split(":"))
            start, end = found[names[event["tid"]]][source, frame]
            assert start - 0.2 <= event["ts"] <= end + 0.2
            arrows[source, frame].append((event["ts"], event["ph"]))
    assert set(arrows) == {(source, frame) for source in (1, 2) for frame in range(8)}
    assert {"".join(step for _, step in sorted(steps)) for steps in arrows.values()} == {"sttf"}


def test_counters_tell_what_waits_and_what_was_dropped(segmenter: Segmenter, tmp_path: Path) -> None:
    with_trace = Trace(tmp_path / "t.json")
    report = Pipeline(
        Slow(60, live=True), segmenter, [Nothing("out")], options=PipelineOptions(trace=with_trace)
    ).run()
    with_trace.close()
    counters = [event for event in read(tmp_path / "t.json") if event["ph"] == "C"]
    waiting = [event["args"] for event in counters if event["name"] == "waiting"]
    assert all(set(values) == {"capture", "prepared", "inferred", "out"} for values in waiting)
    dropped = [event["args"]["capture"] for event in counters if event["name"] == "dropped"]
    assert dropped == sorted(dropped)
    assert dropped[-1] == report.stats["dropped"] > 0


def test_a_run_that_fails_leaves_its_trace(segmenter: Segmenter, tmp_path: Path) -> None:
    with_trace = Trace(tmp_path / "t.json")
    with pytest.raises(SourceError, match="slow broke"):
        Pipeline(Slow(20, fail_at=10), segmenter, options=PipelineOptions(trace=with_trace)).run()
    with_trace.close()
    assert len(slices(read(tmp_path / "t.json"))["capture"]) == 10


def test_a_long_run_is_cut_and_says_so(tmp_path: Path) -> None:
    long = Trace(tmp_path / "t.json", most_bytes=20_000)
    track = long.track("thread", 1)
    for number in range(1000):
        track.slice("work", number, number + 1, [FrameKey(0, number)])
    assert long.cut
    long.close()
    assert json.loads((tmp_path / "t.json").read_text())["otherData"] == {"cut": True}
    assert (tmp_path / "t.json").stat().st_size < 21_000


def test_it_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    trace = Trace(path)
    assert not path.exists()
    trace.close()
    trace.close()
    trace.track("too late", 1).slice("work", 0, 1, [])
    assert [event["name"] for event in read(path)] == ["process_name"]
    with pytest.raises(OutputError, match=r"t\.json exists; give --force"):
        Trace(path)
    Trace(path, force=True).close()


def test_a_full_disk_ends_the_trace_and_not_the_run(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(trace_module, "prepare_output", lambda target, force: tmp_path / "link")
    (tmp_path / "link").symlink_to(path)
    trace = Trace(tmp_path / "t.json")
    report = Pipeline(Slow(100, live=True), segmenter, options=PipelineOptions(trace=trace)).run()
    assert report.stats["captured"] == 100
    with pytest.raises(
        OutputError, match=r"cannot write .*t\.json: No space left on device; nothing was kept"
    ):
        trace.close()
    assert list(tmp_path.glob("*.json")) == []
