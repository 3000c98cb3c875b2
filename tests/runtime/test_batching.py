"""The choice of a batch, with a clock made for the purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgeseg import Segmenter
from edgeseg.core.errors import BackendError
from edgeseg.runtime.batching import BatchChoice, choose, measure_batches


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def segmenter(bundle_folder: Path) -> Iterator[Segmenter]:
    with Segmenter(bundle_folder, threads=1) as seg:
        yield seg


@pytest.fixture
def timed(segmenter: Segmenter) -> Callable[..., tuple[Clock, list[int]]]:
    """Lets a batch take a time, and refuses those that are too large."""

    def make(ms_of: Callable[[int], float], most: int = 99) -> tuple[Clock, list[int]]:
        clock, sizes, infer_batch = Clock(), [], segmenter.infer_batch

        def infer(prepared: list[object]) -> object:
            if len(prepared) > most:
                raise BackendError(f"at most {most} at once")
            sizes.append(len(prepared))
            clock.now += ms_of(len(prepared)) / 1e3
            return infer_batch(prepared)  # type: ignore[arg-type]

        segmenter.infer_batch = infer  # type: ignore[method-assign, assignment]
        return clock, sizes

    return make


def test_a_batch_that_saves_time_is_taken(
    segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]
) -> None:
    clock, sizes = timed(lambda size: 8 + 2 * size)
    choice = measure_batches(segmenter, 4, clock=clock)
    assert choice.batch == 4
    assert choice.times_ms == pytest.approx({1: 10.0, 2: 6.0, 4: 4.0})
    assert sizes[-6:] == [1, 2, 4] * 2  # in turn
    assert choice.line == "4 (1: 10.0 ms a frame, 2: 6.0, 4: 4.0)"


def test_a_batch_that_saves_nothing_is_not(
    segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]
) -> None:
    clock, _ = timed(lambda size: 10.0 * size - 0.1)
    assert measure_batches(segmenter, 3, clock=clock).batch == 1


def test_one_source_is_never_batched(
    segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]
) -> None:
    clock, sizes = timed(lambda size: 1.0)
    assert measure_batches(segmenter, 1, clock=clock) == BatchChoice(1)
    assert sizes == []


def test_no_batch_is_larger_than_eight(
    segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]
) -> None:
    clock, sizes = timed(lambda size: 1.0)
    assert measure_batches(segmenter, 50, clock=clock).batch == max(sizes) == 8


def test_a_refused_batch_is_told(segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]) -> None:
    clock, _ = timed(lambda size: 1.0, most=2)
    choice = measure_batches(segmenter, 4, clock=clock)
    assert choice.batch == 2
    assert choice.line.endswith("; a larger one was refused: at most 2 at once")


def test_measuring_stays_within_its_budget(
    segmenter: Segmenter, timed: Callable[..., tuple[Clock, list[int]]]
) -> None:
    for ms in (20.0, 100.0, 400.0):
        clock, _ = timed(lambda size, ms=ms: ms * size)
        measure_batches(segmenter, 8, clock=clock)
        assert clock.now <= 1.5


def test_the_choice() -> None:
    assert choose({1: 10.0}) == 1
    assert choose({1: 10.0, 2: 9.6, 4: 9.4}) == 4
    assert choose({1: 10.0, 2: 9.0, 4: 8.9}) == 2
    assert BatchChoice(2, {1: 10.0, 2: 9.0}).summary() == {"most": 2, "times_ms": {"1": 10.0, "2": 9.0}}
