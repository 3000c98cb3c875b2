"""Whole flights in the aerial world: they land on safe ground, and a fault makes them wait or give up."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from edgeseg.benchmarks.landing.__main__ import main
from edgeseg.benchmarks.landing.loop import flight as flights
from edgeseg.benchmarks.landing.loop.ardupilot import LAND_VERTICALLY, ArduPilotParameters
from edgeseg.benchmarks.landing.loop.faults import DEAD_NETWORK, FAULTS, FROZEN_CAMERA, INTRUDER, NONE, Fault
from edgeseg.benchmarks.landing.loop.flight import ABORTED, SAFE, FlightOutcome, LoopFlight, LoopPlan, Moment
from edgeseg.benchmarks.landing.loop.tally import LoopTally, fly_all, schedule
from edgeseg.core.arrays import ClassMap, Frame
from edgeseg.core.errors import DataError

GOOD_ARDUPILOT, GOOD_PX4 = 2, 1
"""Flights that find a spot soon."""


def truth_of(frame_bgr: Frame, truth: ClassMap) -> ClassMap:
    return truth


@pytest.mark.parametrize("number", [GOOD_ARDUPILOT, GOOD_PX4])
def test_it_lands_where_it_is_told(number: int) -> None:
    seen: list[Moment] = []
    autopilot = ("ardupilot", "px4")[number % 2]
    outcome = LoopFlight(number, LoopPlan(), truth_of, autopilot=autopilot).fly(seen.append)  # type: ignore[arg-type]
    assert (outcome.end, outcome.why, outcome.blind_m) == (SAFE, "", 0)
    assert outcome.miss_m < 0.6
    assert seen[0].spot is None
    assert seen[-1].landing
    assert seen[-1].state.height_m < 0.5 < seen[0].state.height_m


def test_a_flipped_sign_is_noticed() -> None:
    plan = LoopPlan(distort=lambda message: replace(message, y=-message.y))
    outcome = LoopFlight(GOOD_PX4, plan, truth_of, autopilot="px4").fly()
    assert outcome.end == ABORTED


def with_fault(monkeypatch: pytest.MonkeyPatch, kind: str, plan: LoopPlan | None = None) -> FlightOutcome:
    """Flies with a fault that begins at 6 m and stays."""
    monkeypatch.setattr(Fault, "draw", lambda rng, kind: Fault(kind, below_m=6.0))
    return LoopFlight(GOOD_ARDUPILOT, plan or LoopPlan(), truth_of, kind).fly()


@pytest.mark.parametrize("kind", [DEAD_NETWORK, FROZEN_CAMERA])
def test_a_fault_that_stays_ends_the_descent(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = with_fault(monkeypatch, kind)
    assert (outcome.end, outcome.why, outcome.blind_m) == (ABORTED, "no spot any more", 0)


def test_the_judge_notices_an_autopilot_that_lands_on_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = LoopPlan(ardupilot=ArduPilotParameters(strict=LAND_VERTICALLY))
    outcome = with_fault(monkeypatch, DEAD_NETWORK, plan)
    assert outcome.end != ABORTED
    assert outcome.blind_m > 1.0


def test_someone_who_walks_in_is_not_landed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = with_fault(monkeypatch, INTRUDER)
    assert outcome.end in (SAFE, ABORTED)
    assert outcome.switches > 0


def test_both_autopilots_get_every_fault() -> None:
    flown = {(autopilot, fault) for _, autopilot, fault in schedule(2 * len(FAULTS), faults=True)}
    assert flown == {(autopilot, fault) for autopilot in ("ardupilot", "px4") for fault in FAULTS}
    assert {fault for _, _, fault in schedule(9, faults=False)} == {NONE}


def outcome_of(number: int, end: str, why: str = "", blind_m: float = 0.0) -> FlightOutcome:
    miss = math.nan if end == ABORTED else 0.2
    autopilot = ("ardupilot", "px4")[number % 2]
    return FlightOutcome(number, autopilot, NONE, end, why, 40.0, 30.0, miss, blind_m, 1)


def test_the_counts() -> None:
    tally = LoopTally(
        [
            outcome_of(0, SAFE), outcome_of(1, flights.UNSAFE, "road"), outcome_of(2, ABORTED, "no spot"),
            outcome_of(3, SAFE, blind_m=2.0),
        ]
    )  # fmt: skip
    assert (tally.landed, tally.unsafe_share, tally.blind) == (3, pytest.approx(1 / 3), 1)


def test_flights_in_the_log_are_not_flown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, flown = tmp_path / "flights.jsonl", []

    def fly(flight: LoopFlight) -> FlightOutcome:
        flown.append(flight.number)
        return outcome_of(flight.number, SAFE)

    monkeypatch.setattr(LoopFlight, "fly", fly)
    monkeypatch.setattr(LoopFlight, "__init__", lambda self, number, *rest: setattr(self, "number", number))
    fly_all(2, False, LoopPlan(), truth_of, log)
    outcomes = fly_all(3, False, LoopPlan(), truth_of, log)
    assert flown == [0, 1, 2]
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "notes.txt"
    log.write_text("hello\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"notes\.txt is not a log of flights; expected one that --log wrote"):
        fly_all(1, False, LoopPlan(), truth_of, log)


def test_the_program_writes_its_table_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "flights.jsonl", tmp_path / "loop"
    rows = [outcome_of(0, SAFE), outcome_of(1, ABORTED, "no spot")]
    log.write_text("".join(json.dumps(row.__dict__) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(
        "edgeseg.benchmarks.landing.programs._descents", lambda *rest: [("a", [(0.0, 9.0, True)])]
    )
    assert main(["--closed-loop", "2", "--log", str(log), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 flights touched down, 0 of them unsafe (0.00 %); 1 were aborted in the air." in printed
    assert "Aborted: 1 no spot." in printed
    result = json.loads((out / "closed-loop.json").read_text(encoding="utf-8"))
    assert [row["miss_m"] for row in result["flights"]] == [0.2, None]
    assert (out / "descents.png").stat().st_size > 1000
