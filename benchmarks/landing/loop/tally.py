"""All flights of a measurement, their log, and the counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ....core.errors import DataError
from ....embedding.mavlink.landing_target import AUTOPILOTS
from ....embedding.mavlink.landing_target import Autopilot as AutopilotName
from ..stage import Eyes
from .faults import FAULTS, NONE
from .flight import ABORTED, SAFE, UNSAFE, FlightOutcome, LoopFlight, LoopPlan

_BRAKING_M = 0.1
"""A vehicle that has to stop from its fastest descent goes on for some centimetres after the judge's half second."""


@dataclass(frozen=True)
class LoopTally:
    """The counts of some flights.

    Attributes:
        outcomes: of these flights.
    """

    outcomes: Sequence[FlightOutcome]

    def count(self, end: str) -> int:
        """Returns the number of flights that ended so."""
        return sum(outcome.end == end for outcome in self.outcomes)

    @property
    def landed(self) -> int:
        """The number of flights that touched down."""
        return self.count(SAFE) + self.count(UNSAFE)

    @property
    def unsafe_share(self) -> float:
        """Share of the touch-downs that were unsafe."""
        return self.count(UNSAFE) / max(1, self.landed)

    @property
    def blind(self) -> int:
        """The number of flights that descended without a valid spot for longer than the autopilot's time-out."""
        return sum(outcome.blind_m > _BRAKING_M for outcome in self.outcomes)

    @property
    def landings(self) -> list[FlightOutcome]:
        """The flights that touched down."""
        return [outcome for outcome in self.outcomes if outcome.end != ABORTED]


def schedule(flights: int, faults: bool) -> Iterator[tuple[int, AutopilotName, str]]:
    """Yields number, autopilot and fault of each flight: both autopilots in turn, then the faults in turn."""
    for number in range(flights):
        fault = FAULTS[number // len(AUTOPILOTS) % len(FAULTS)] if faults else NONE
        yield number, AUTOPILOTS[number % len(AUTOPILOTS)], fault


def fly_all(
    flights: int,
    faults: bool,
    plan: LoopPlan,
    eyes: Eyes,
    log: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[FlightOutcome]:
    """Flies all flights of a measurement.

    Args:
        flights: their number.
        faults: True to put a fault into each.
        plan: what they have in common.
        eyes: the network, or the truth.
        log: a file of outcomes, a line each. Flights that are in it are not flown again.
        progress: called after each flight with the number of those done.

    Raises:
        DataError: the log is not one of this program.
    """
    known = {} if log is None or not log.exists() else _read(log)
    outcomes = []
    for number, autopilot, fault in schedule(flights, faults):
        outcome = known.get((number, autopilot, fault))
        if outcome is None:
            outcome = LoopFlight(number, plan, eyes, fault, autopilot).fly()
            if log is not None:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(outcome)) + "\n")
        outcomes.append(outcome)
        progress(len(outcomes))
    return outcomes


def _read(log: Path) -> dict[tuple[int, str, str], FlightOutcome]:
    try:
        outcomes = [
            FlightOutcome(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()
        ]
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{log} is not a log of flights; expected one that --log wrote; name another file"
        ) from error
    return {(outcome.number, outcome.autopilot, outcome.fault): outcome for outcome in outcomes}
