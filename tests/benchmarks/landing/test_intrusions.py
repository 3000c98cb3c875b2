"""Intrusions: with exact masks a spot is withdrawn with the first frame that shows someone in it, or before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks.landing.__main__ import main
from edgeseg.benchmarks.landing.intrusions import IntrusionPlan, IntrusionTally, play
from edgeseg.core.arrays import ClassMap, Frame
from edgeseg.data.aerial.labels import CAR, GRASS, PERSON
from edgeseg.embedding.landing.options import LandingOptions

PLAN = IntrusionPlan(cases=4, fps=10.0, size_hw=(192, 192), options=LandingOptions(), margin_m=0.5)


def truth_of(frame_bgr: Frame, truth: ClassMap) -> ClassMap:
    return truth


def blind_to_people_and_cars(frame_bgr: Frame, truth: ClassMap) -> ClassMap:
    return np.where(np.isin(truth, (CAR, PERSON)), np.uint8(GRASS), truth)


def test_a_person_that_appears_in_the_footprint_withdraws_the_spot_at_once() -> None:
    told = play(1, "person", "appears", PLAN, truth_of)
    assert told is not None
    frames, ms = told
    assert frames == 1
    assert 0 < ms < 1000


def test_a_finder_that_does_not_see_people_and_cars_fails() -> None:
    told = play(1, "person", "appears", PLAN, blind_to_people_and_cars)
    assert told is not None
    assert told[0] > 5


def test_the_counts_tell_before_in_time_and_late_apart() -> None:
    tally = IntrusionTally()
    for frames in (0, 1, 2, 3):
        tally.add(frames, 100.0 * frames)
    assert (tally.cases, tally.before, tally.in_time) == (4, 1, 3)


def test_the_program_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "intrusions"
    assert main(["--intrusions", "4", "--out", str(out)]) == 0
    assert "4 of 4 spots (100.0 %) were withdrawn within 2 frames" in capsys.readouterr().out
    result = json.loads((out / "intrusions.json").read_text(encoding="utf-8"))
    assert {(row["kind"], row["arrival"]) for row in result["cases"]} == {
        (kind, how) for kind in ("car", "person") for how in ("walks in", "appears")
    }
    assert "1st frame" in (out / "intrusions.md").read_text(encoding="utf-8")
