"""Post-processors: each result passes through them in order, and their findings reach sinks, status and statistics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from edgeseg.core.arrays import Frame
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.runtime.findings import MASK_INVALID, Finding
from edgeseg.runtime.health.limits import Limits
from edgeseg.runtime.pipeline import Pipeline, Stream
from edgeseg.runtime.postprocessor import PostProcessor
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.segmenter import Segmenter

from .parts import FakeSink, FakeSource, hangs

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("no_thread_stays")]


@dataclass(frozen=True)
class Brightness(Finding):
    """The brightness of a frame."""

    valid: bool
    reason: str
    captured_at: float
    level: int | None = None

    @property
    def caption(self) -> str:
        return f"brightness {self.level}"

    def invalidated(self, reason: str) -> Brightness:
        return Brightness(False, reason, self.captured_at)

    def facts(self) -> dict[str, Any]:
        return {"valid": self.valid, "reason": self.reason, "level": self.level}


class Meter(PostProcessor):
    """Measures each frame, and keeps the results that it saw."""

    name = "meter"

    def __init__(self) -> None:
        self.seen: list[Segmentation] = []

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        self.seen.append(result)
        found = Brightness(result.valid, result.reason, result.captured_at, int(frame_bgr[0, 0, 0]))
        return replace(result, findings={**result.findings, "brightness": found})


class Inverted(PostProcessor):
    """Exchanges the first and the last class."""

    name = "inverted"

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        return replace(result, classes=np.asarray(2 - result.classes, np.uint8), raw_classes=result.classes)


class Failing(PostProcessor):
    """Fails for one frame."""

    name = "failing"

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        if result.frame_id == 1 and result.valid:
            raise ValueError("no such ground")
        return result


def run(segmenter: Segmenter, source: FakeSource, *processors: PostProcessor, **options: Any) -> FakeSink:
    sink = FakeSink()
    Pipeline([Stream(source, [sink], processors)], segmenter, **options).run()
    return sink


def test_results_pass_through_in_order_before_the_sinks_get_them(segmenter: Segmenter) -> None:
    meter = Meter()
    sink = run(segmenter, FakeSource(3), Inverted(), meter)
    assert [int(result.classes[0, 0]) for result in meter.seen] == [2, 1, 0]
    first = sink.outputs[0].result
    assert first.raw_classes is not None
    assert (int(first.classes[0, 0]), int(first.raw_classes[0, 0])) == (2, 0)
    assert first.findings["brightness"].facts() == {"valid": True, "reason": "", "level": 40}
    assert sink.outputs[0].shares.tolist() == [0, 0, 1]


def test_the_pose_that_a_source_knows_reaches_them(segmenter: Segmenter) -> None:
    class Flying(FakeSource):
        def read(self) -> Frame | None:
            frame = super().read()
            self.frame_pose = VehiclePose(self.next / 10, quaternion(0, 0, 0), 20.0 + self.next)
            return frame

    meter = Meter()
    run(segmenter, Flying(2), meter)
    assert [(result.pose.at, result.pose.height_m) for result in meter.seen if result.pose] == [
        (0.1, 21.0),
        (0.2, 22.0),
    ]


def test_statistics_count_findings_by_their_reason(segmenter: Segmenter) -> None:
    report = Pipeline([Stream(FakeSource(3), [], [Meter()])], segmenter).run()
    assert report.stats["findings"] == {"brightness": {"valid": 3}}


def test_a_failure_of_one_loses_a_live_frame_only(
    segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    sink = FakeSink()
    source = FakeSource(
        3, live=True, before=lambda number: release.wait(1) if number == 3 else _until(sink, number)
    )
    Pipeline([Stream(source, [sink], [Failing(), Meter()])], segmenter).run()
    results = {output.result.frame_id: output.result for output in sink.outputs if not output.beat}
    assert [(results[i].valid, results[i].reason) for i in range(3)] == [
        (True, ""),
        (False, "backend-failed"),
        (True, ""),
    ]
    assert results[1].findings == {}
    assert "no such ground" in caplog.text


def test_a_failure_of_one_ends_a_run_over_files(segmenter: Segmenter) -> None:
    with pytest.raises(ValueError, match="no such ground"):
        run(segmenter, FakeSource(3), Failing())


def test_findings_are_withdrawn_with_a_result_that_grew_old(segmenter: Segmenter) -> None:
    release = threading.Event()
    source = FakeSource(2, live=True, before=hangs(release, at=1))
    sink = FakeSink()
    sink.beats = True
    pipeline = Pipeline([Stream(source, [sink], [Meter()])], segmenter, limits=Limits(max_age_s=0.2))
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        beat = next(output for output in _outputs(sink) if output.beat and output.result.reason == "stale")
        found = beat.result.findings["brightness"]
        assert (found.valid, found.reason, found.facts()["level"]) == (False, MASK_INVALID, None)
        status = pipeline.status().sources[0].findings["brightness"]
        assert (status.valid, status.reason, status.counts) == (False, MASK_INVALID, {"": 1})
    finally:
        release.set()
        thread.join()


def test_a_result_without_a_class_map_passes_through_them_too(segmenter: Segmenter) -> None:
    class Black(FakeSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return None if frame is None else np.zeros_like(frame)

    meter = Meter()
    sink = run(segmenter, Black(1, live=True), meter)
    assert [(result.valid, result.reason) for result in meter.seen] == [(False, "dark")]
    assert sink.outputs[0].result.findings["brightness"].reason == "dark"


def _until(sink: FakeSink, number: int) -> None:
    """Waits until the sink has the results before, so that no live frame is dropped."""
    pause = threading.Event()
    while number < 3 and len({output.result.frame_id for output in list(sink.outputs)}) < number:
        pause.wait(0.005)


def _outputs(sink: FakeSink) -> Iterator[Any]:
    """Gives the outputs as they come."""
    pause, given = threading.Event(), 0
    while True:
        outputs = list(sink.outputs)
        yield from outputs[given:]
        given = len(outputs)
        pause.wait(0.01)
