"""Crash loops end: a budget of restarts, by the monotonic clock."""

from __future__ import annotations

import time

import pytest
from edgeseg.runtime.pipeline.restarts import RestartBudget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_is_spent_and_comes_back_as_time_passes() -> None:
    clock = Clock()
    budget = RestartBudget(2, 60, clock)
    assert budget.spend()
    clock.now += 30
    assert [budget.spend(), budget.spend()] == [True, False]
    clock.now += 29.9
    assert not budget.spend()
    clock.now += 0.1  # a minute after the first, but not after the second
    assert [budget.spend(), budget.spend()] == [True, False]


def test_a_refused_restart_costs_nothing() -> None:
    clock = Clock()
    budget = RestartBudget(1, 10, clock)
    assert budget.spend()
    for _ in range(9):
        clock.now += 1
        assert not budget.spend()
    clock.now += 1
    assert budget.spend()


def test_none_at_all() -> None:
    assert not RestartBudget(0, 1).spend()


def test_a_stepped_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = RestartBudget(1, 60)
    assert budget.spend()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not budget.spend()


@pytest.mark.parametrize(("most", "within"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_what_makes_no_sense(most: int, within: float) -> None:
    with pytest.raises(ValueError, match="expected 0 restarts or more within more than 0 s"):
        RestartBudget(most, within)
