"""When a message was measured: its own time counts, whatever way it took."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.embedding.mavlink.boot_clock import BootClock

STARTED_AT = 1000.0
"""Our time when the autopilot started."""


def test_timesync_maps_from_the_first_message_on() -> None:
    clock = BootClock()
    assert clock.moment(5.0, STARTED_AT + 5.08, -STARTED_AT) == pytest.approx(STARTED_AT + 5.0)
    assert clock.by == "timesync"


def test_no_message_is_from_the_future() -> None:
    clock = BootClock()
    assert clock.moment(5.0, STARTED_AT + 5.0, -STARTED_AT - 0.01) == STARTED_AT + 5.0


def test_without_timesync_the_least_delay_counts_and_jitter_does_not() -> None:
    clock, rng = BootClock(), np.random.default_rng(1)
    errors = []
    for step in range(200):
        boot_s = 5 + step * 0.04
        delay_s = 0.01 + float(rng.exponential(0.05))
        at = clock.moment(boot_s, STARTED_AT + boot_s + delay_s, None)
        if at is not None:
            errors.append(at - STARTED_AT - boot_s)
    assert clock.by == "arrival"
    assert len(errors) > 150
    assert max(errors) < 0.03, "0.05 s of jitter on average has become at most 0.02 s of shift"
    assert min(errors) >= 0.01


def test_without_timesync_the_first_second_gives_no_moments() -> None:
    clock = BootClock()
    given = [clock.moment(5 + 0.1 * i, STARTED_AT + 5 + 0.1 * i, None) is not None for i in range(15)]
    assert given == [False] * 10 + [True] * 5
    assert clock.by == "arrival"


def test_a_timesync_of_another_clock_is_not_used() -> None:
    clock = BootClock()
    for i in range(30):
        at = clock.moment(5 + 0.1 * i, STARTED_AT + 5 + 0.1 * i, 1_700_000_000.0)
    assert clock.by == "arrival"
    assert at == pytest.approx(STARTED_AT + 7.9)


def test_a_clock_that_runs_apart_is_followed() -> None:
    clock = BootClock()
    for i in range(2000):  # 200 s at 1000 parts per million
        boot_s = 5 + 0.1 * i
        at = clock.moment(boot_s, STARTED_AT + boot_s * 1.001, None)
    assert at == pytest.approx(STARTED_AT + boot_s * 1.001, abs=0.015)


def test_a_late_message_is_dropped_and_is_no_restart() -> None:
    clock = BootClock()
    clock.moment(500.0, STARTED_AT + 500, -STARTED_AT)
    for late_s in (498.0, 497.0, 498.5):
        assert clock.moment(late_s, STARTED_AT + 500.1, -STARTED_AT) is None
    assert clock.moment(499.5, STARTED_AT + 500.1, -STARTED_AT) == pytest.approx(STARTED_AT + 499.5)
    assert clock.restarts == 0


def test_a_restart_is_seen_with_the_first_message() -> None:
    clock = BootClock()
    clock.moment(500.0, STARTED_AT + 500, -STARTED_AT)
    restarted_at = STARTED_AT + 502
    assert clock.moment(3.0, restarted_at + 3, -restarted_at) == pytest.approx(restarted_at + 3)
    assert clock.restarts == 1


def test_a_clock_that_was_set_back_is_followed_after_a_while() -> None:
    clock = BootClock()
    clock.moment(500.0, STARTED_AT + 500, None)
    for i in range(19):
        assert clock.moment(300 + 0.05 * i, STARTED_AT + 500 + 0.05 * i, None) is None
    assert clock.restarts == 0
    clock.moment(301.0, STARTED_AT + 501, None)
    assert clock.restarts == 1
