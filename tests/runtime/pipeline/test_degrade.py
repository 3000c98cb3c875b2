"""When a run steps down, when it steps back, and that it does not flutter."""

from __future__ import annotations

import pytest
from edgeseg.core.errors import UsageError
from edgeseg.runtime.pipeline.degrade import Degrader, DegradeStep, steps_down
from edgeseg.runtime.segmenter import Segmenter

STEPS = [DegradeStep(0, 1.0, "whole"), DegradeStep(1, 1.0, "small"), DegradeStep(1, 0.5, "small, half")]


def feed(degrader: Degrader, latency_ms: float, seconds: float, now: float) -> float:
    """Feeds ten results a second; returns the time after them."""
    for tick in range(round(seconds * 10)):
        degrader.record(latency_ms, now + tick / 10)
    return now + seconds


def test_a_few_late_results_change_nothing() -> None:
    degrader = Degrader(STEPS, 50)
    for tick in range(1000):
        degrader.record(80 if tick % 3 == 0 else 20, tick / 10)
    assert degrader.degraded == ""


def test_it_steps_down_while_most_are_late_and_no_further_than_there_are_steps() -> None:
    degrader = Degrader(STEPS, 50)
    now = feed(degrader, 80, 1.0, 0.0)
    assert degrader.step == STEPS[1]
    now = feed(degrader, 80, 1.0, now)
    assert degrader.step == STEPS[2]
    feed(degrader, 80, 10.0, now)
    assert degrader.degraded == "small, half"


def test_it_steps_back_after_ten_calm_seconds_each() -> None:
    degrader = Degrader(STEPS, 50)
    now = feed(degrader, 80, 2.0, 0.0)
    now = feed(degrader, 20, 9.0, now)
    assert degrader.step == STEPS[2]
    now = feed(degrader, 20, 2.0, now)
    assert degrader.step == STEPS[1]
    feed(degrader, 20, 11.0, now)
    assert degrader.degraded == ""


def test_it_waits_twice_as_long_after_stepping_back_too_early() -> None:
    degrader = Degrader(STEPS[:2], 50)
    now = feed(degrader, 80, 1.0, 0.0)
    now = feed(degrader, 20, 11.0, now)
    assert degrader.degraded == ""
    now = feed(degrader, 80, 1.0, now)
    now = feed(degrader, 20, 15.0, now)
    assert degrader.step == STEPS[1]
    feed(degrader, 20, 6.0, now)
    assert degrader.degraded == ""


def test_without_a_deadline_nothing_is_late() -> None:
    degrader = Degrader(STEPS, None)
    assert not degrader.record(1e9, 0.0)


def test_each_step_keeps_what_the_ones_before_it_gave_up(segmenter: Segmenter) -> None:
    with segmenter.again() as smaller:
        steps, others = steps_down(segmenter, [0.5, smaller])
    assert others == [smaller]
    assert [(step.level, step.rate) for step in steps] == [(0, 1.0), (0, 0.5), (1, 0.5)]


def test_what_cannot_stand_in_is_refused(segmenter: Segmenter, make_bundle: object) -> None:
    with pytest.raises(UsageError, match="expected a share between 0 and 1"):
        steps_down(segmenter, [1.5])
    with (
        Segmenter(make_bundle("other", size_hw=(64, 48)), threads=1) as other,
        pytest.raises(UsageError, match="other size or labels"),
    ):
        steps_down(segmenter, [other])
