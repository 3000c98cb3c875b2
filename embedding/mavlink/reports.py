"""The reports to an autopilot on each finding: a message, or nothing and the reason why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...core.pose import VehiclePose
from ...runtime.findings import Finding
from ...runtime.result import Segmentation
from ..free_space.finding import FreeSpace
from ..free_space.processor import FREE_SPACE
from ..landing.processor import LANDING
from ..landing.spot import LandingSpot
from ..reasons import NO_POSITION
from .landing_target import OLDEST_S, Autopilot, landing_target
from .obstacle_distance import obstacles_of

LANDING_TARGET, OBSTACLE_DISTANCE = "LANDING_TARGET", "OBSTACLE_DISTANCE"
OLDEST_OBSTACLES_S = 0.5
"""Age at which obstacles are no longer sent. Both autopilots take half a second without any for none known."""
TOO_OLD = "too old to be sent"
WARNING, NOTICE, INFORMATION = 4, 5, 6
"""Of MAV_SEVERITY."""

_FOUND = {LANDING: "landing spot found", FREE_SPACE: "free space is seen"}
_NOT_FOUND = {LANDING: "no landing spot", FREE_SPACE: "no free space"}


@dataclass(frozen=True)
class Place:
    """The place of the vehicle when a frame was captured.

    Attributes:
        pose: of the vehicle; None if it is not known.
        down_m: z of its local position, metres below the origin; NaN if it is not known.
    """

    pose: VehiclePose | None = None
    down_m: float = math.nan


@dataclass(frozen=True)
class Report:
    """The report on one finding.

    Attributes:
        name: of the finding; empty for the result itself.
        text: its state.
        severity: of the text.
        kind: the message that tells it; empty if there is none.
        fields: of that message; None if nothing may be sent.
        oldest_s: age at which it is no longer sent.
        ground_m: metres north and east of what it is about; None if that does not matter.
        warning: what people have to know of every finding of this name; empty for none.
    """

    name: str
    text: str
    severity: int
    kind: str = ""
    fields: Mapping[str, Any] | None = None
    oldest_s: float = 0.0
    ground_m: tuple[float, float] | None = None
    warning: str = ""

    @property
    def is_valid(self) -> bool:
        """True if it tells something that may be acted on."""
        return self.severity == INFORMATION


def reports_of(result: Segmentation, age_s: float, autopilot: Autopilot, place: Place) -> Iterator[Report]:
    """Gives what is told of each finding of a result; of the result itself if it has none.

    Args:
        result: of a frame.
        age_s: of the frame, in seconds.
        autopilot: which is told.
        place: of the vehicle at that frame.
    """
    if not result.findings:
        yield _state("", "results are valid", "not valid", "" if result.valid else result.reason, result)
    for name, finding in result.findings.items():
        if isinstance(finding, LandingSpot):
            yield _landing(name, finding, result, age_s, autopilot, place)
        elif isinstance(finding, FreeSpace):
            yield _obstacles(name, finding, result, age_s)
        else:
            yield _finding(name, finding, result)


def _landing(
    name: str, spot: LandingSpot, result: Segmentation, age_s: float, autopilot: Autopilot, place: Place
) -> Report:
    target = landing_target(spot, autopilot, place.pose, place.down_m)
    oldest_s = OLDEST_S[autopilot]
    reason = "" if target is not None else NO_POSITION
    fields = None if target is None else target.fields
    said = _finding(name, spot, result, TOO_OLD if age_s >= oldest_s else reason)
    return replace(said, kind=LANDING_TARGET, fields=fields, oldest_s=oldest_s, ground_m=spot.ground_m)


def _obstacles(name: str, space: FreeSpace, result: Segmentation, age_s: float) -> Report:
    obstacles = obstacles_of(space)
    fields = None if obstacles is None else obstacles.fields
    said = _finding(name, space, result, TOO_OLD if age_s >= OLDEST_OBSTACLES_S else "")
    return replace(said, kind=OBSTACLE_DISTANCE, fields=fields, oldest_s=OLDEST_OBSTACLES_S)


def _finding(name: str, finding: Finding, result: Segmentation, kept_back: str = "") -> Report:
    """Returns the text about a finding; ``kept_back`` is why one that is valid is not sent."""
    reason = kept_back if finding.valid else finding.reason if result.valid else result.reason
    state = _state(
        name, _FOUND.get(name, f"{name} is valid"), _NOT_FOUND.get(name, f"no {name}"), reason, result
    )
    return replace(state, warning=finding.warning)


def _state(name: str, found: str, not_found: str, reason: str, result: Segmentation) -> Report:
    if not reason:
        return Report(name, found, INFORMATION)
    severity = NOTICE if result.valid and reason != TOO_OLD else WARNING
    return Report(name, f"{not_found}: {reason}", severity)
