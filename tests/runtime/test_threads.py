"""The choice of threads, on machines and clocks made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeseg import Segmenter
from edgeseg.core.errors import BackendError
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.cpu import Threads
from edgeseg.runtime.threads import ThreadChoice, candidates, choose, open_fastest


def test_what_is_tried_and_what_is_chosen() -> None:
    assert candidates(1) == [1]
    assert candidates(6) == [6, 3, 2, 1]
    assert candidates(16) == [16, 8, 4, 2, 1]
    assert choose({1: 18.2, 2: 10.9}) == 2
    assert choose({8: 10.0, 4: 10.2, 2: 10.4, 1: 19}) == 4
    assert choose({2: 31.0, 1: 20.0}) == 1
    assert [Threads.for_pipeline(threads, 4).decode for threads in (1, 3, 4)] == [3, 1, 1]


class Clock:
    """Time that passes only where something is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Opener:
    """Opens real segmenters, whose inference takes a time that the test sets."""

    def __init__(
        self,
        bundle: Path,
        ms: dict[int, float],
        opening_ms: float = 100.0,
        fail_at: int = 0,
        device: str = "cpu",
    ) -> None:
        self.clock, self.opened, self.inferences = Clock(), [], dict.fromkeys(ms, 0)
        self.closed: list[Segmenter] = []
        self._bundle, self._ms, self._opening_ms = Bundle.load(bundle), ms, opening_ms
        self._fail_at, self._device = fail_at, device

    def __call__(self, threads: int, like: Segmenter | None) -> Segmenter:
        assert (like is None) == (not self.opened)
        assert like is None or like not in self.closed
        self.clock.now += self._opening_ms / 1e3
        segmenter = Segmenter(self._bundle, threads=1)
        segmenter.backend.device = self._device
        self.opened.append((threads, segmenter))
        infer, close = segmenter.infer, segmenter.close
        segmenter.close = lambda: (self.closed.append(segmenter), close())[1]  # type: ignore[method-assign]

        def timed(prepared: object) -> object:
            if threads == self._fail_at:
                raise BackendError("no more memory")
            self.inferences[threads] += 1
            self.clock.now += self._ms[threads] / 1e3
            return infer(prepared)  # type: ignore[arg-type]

        segmenter.infer = timed  # type: ignore[method-assign, assignment]
        return segmenter

    def run(self, cpus: int) -> tuple[Segmenter, ThreadChoice]:
        return open_fastest(self, cpus, clock=self.clock)

    def still_open(self) -> list[int]:
        return [threads for threads, segmenter in self.opened if segmenter not in self.closed]


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        ({4: 10.0, 2: 14.0, 1: 25.0}, 4),
        ({4: 10.0, 2: 10.2, 1: 18.0}, 2),
        ({4: 30.0, 2: 14.0, 1: 12.0}, 1),
        ({4: 30.0, 2: 12.0, 1: 14.0}, 2),
    ],
)
def test_the_fewest_of_the_fastest_stay_open(
    bundle_folder: Path, ms: dict[int, float], expected: int
) -> None:
    opener = Opener(bundle_folder, ms)
    segmenter, choice = opener.run(4)
    assert [threads for threads, _ in opener.opened] == [4, 2, 1]
    assert choice.threads == expected
    assert choice.times_ms == pytest.approx(ms)
    assert opener.still_open() == [expected]
    assert dict(opener.opened)[expected] is segmenter
    assert opener.clock.now - 0.1 <= 1.5
    segmenter.close()


def test_a_network_too_slow_to_be_compared_gets_all_cpus(bundle_folder: Path) -> None:
    opener = Opener(bundle_folder, {8: 700.0, 4: 900.0, 2: 1500.0, 1: 3000.0})
    segmenter, choice = opener.run(8)
    assert (choice.threads, list(choice.times_ms)) == (8, [8])
    assert opener.inferences[8] == 2
    segmenter.close()


def test_measuring_stays_within_its_budget(bundle_folder: Path) -> None:
    for slow in (5.0, 20.0, 60.0, 120.0):
        opener = Opener(bundle_folder, {8: slow, 4: slow * 2, 2: slow * 4, 1: slow * 8})
        segmenter, choice = opener.run(8)
        assert choice.threads == 8
        assert opener.clock.now - 0.1 <= 1.5
        segmenter.close()


def test_where_the_cpu_has_nothing_to_do_nothing_is_measured(bundle_folder: Path) -> None:
    opener = Opener(bundle_folder, {4: 1.0}, device="cuda")
    segmenter, choice = opener.run(4)
    assert (choice.threads, choice.times_ms, opener.inferences[4]) == (None, {}, 0)
    segmenter.close()


def test_one_cpu_needs_no_measurement(bundle_folder: Path) -> None:
    opener = Opener(bundle_folder, {1: 5.0})
    segmenter, choice = opener.run(1)
    assert (choice.line, opener.inferences[1]) == ("1 of 1", 0)
    segmenter.close()


@pytest.mark.parametrize("fail_at", [4, 2])
def test_a_failure_leaves_nothing_open(bundle_folder: Path, fail_at: int) -> None:
    opener = Opener(bundle_folder, {4: 5.0, 2: 5.0, 1: 5.0}, fail_at=fail_at)
    with pytest.raises(BackendError, match="no more memory"):
        opener.run(4)
    assert opener.still_open() == []


def test_it_is_told_in_one_line() -> None:
    choice = ThreadChoice(2, 2, {2: 10.94, 1: 18.21})
    assert choice.line == "2 of 2 (1: 18.2 ms, 2: 10.9 ms)"
    assert choice.summary() == {"inference": 2, "cpus": 2, "times_ms": {"1": 18.21, "2": 10.94}}


def test_it_measures_on_this_machine(bundle_folder: Path) -> None:
    segmenter, choice = open_fastest(lambda threads, like: Segmenter(bundle_folder, threads=threads), 2)
    segmenter.close()
    assert choice.threads in (1, 2)
