"""Bounds on pixels, by a clock that the test holds."""

from __future__ import annotations

import pytest
from edgeseg.core.images import bounds


def test_a_budget_takes_what_a_real_camera_sends_and_no_flood() -> None:
    now = [0.0]
    budget = bounds.PixelBudget(clock=lambda: now[0])
    for _ in range(300):  # 7680 x 4320 at 30 frames a second, for ten seconds
        assert budget.take(7680 * 4320)
        now[0] += 1 / 30
    now[0] += 10
    taken = [budget.take(bounds.MOST_LIVE_PIXELS) for _ in range(20)]
    assert taken == [True] * 16 + [False] * 4
    now[0] += 1
    assert budget.take(bounds.MOST_LIVE_PIXELS)


def test_the_environment_lowers_both_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bounds.VARIABLE, raising=False)
    assert (bounds.most_pixels(), bounds.most_live_pixels()) == (1 << 28, 1 << 26)
    monkeypatch.setenv(bounds.VARIABLE, "1000")
    assert (bounds.most_pixels(), bounds.most_live_pixels()) == (1000, 1000)
    monkeypatch.setenv(bounds.VARIABLE, "many")
    assert bounds.most_pixels() == 1 << 28
