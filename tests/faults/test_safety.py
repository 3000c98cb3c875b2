"""The table of bounds and times in ``docs/safety.md``: from the fault suite's page, complete, and within its bounds."""

from __future__ import annotations

from edgeseg.runtime.health.limits import Limits

from .live_run import Pace
from .page import PAGE
from .places import ROOT
from .safety import JUDGED, KINDS, NOT_RUNNING, SAFETY, measured, table

TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def test_the_page_quotes_what_was_measured() -> None:
    assert table(TEXT) in (ROOT / SAFETY).read_text(encoding="utf-8"), (
        "docs/safety.md is older than docs/reliability.md: run PYTHONPATH=tests python -m faults.safety"
    )


def test_every_fault_that_stops_results_has_its_bound() -> None:
    times = measured(TEXT)
    named = [fault for kind in KINDS for fault in kind.faults]
    assert len(named) == len(set(named))
    assert {*named, *NOT_RUNNING} == set(times), f"faults of {', '.join(JUDGED)}"


def test_what_was_measured_is_within_the_bounds() -> None:
    pace = Pace()
    limits = Limits(max_age_s=pace.max_age_s, heartbeat_hz=pace.heartbeat_hz, frozen_after_s=1.0)
    times = measured(TEXT)
    for kind in KINDS:
        bound = kind.seconds(limits)
        for fault in kind.faults:
            told = times[fault]
            assert told is not None
            # One result takes two frames of the suite's cameras at most; its network takes 10 ms.
            assert told <= (0.3 if bound is None else bound), fault


def test_the_bound_is_the_age_and_two_heartbeats() -> None:
    assert Limits().told_within_s == 1.0 + 2 / 5
    assert Limits(max_age_s=0.5, heartbeat_hz=10).told_within_s == 0.7
