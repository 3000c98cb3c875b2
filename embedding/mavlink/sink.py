"""The sink that tells an autopilot what was found: where to land, what is in the way, and that nothing is valid."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...core.pose import VehiclePose
from ...runtime.clock import now
from ...runtime.result import Segmentation
from ...runtime.sinks.base import Output, Sink
from ...runtime.status import Status
from ..free_space import FreeSpace
from ..free_space_finder import FREE_SPACE
from ..landing import LandingSpot
from ..landing_processor import LANDING
from .landing_target import landing_target
from .link import MavlinkLink
from .obstacle_distance import obstacles_of
from .pacing import Announcer, Message, Pacer

LANDING_TARGET, OBSTACLE_DISTANCE = "LANDING_TARGET", "OBSTACLE_DISTANCE"
_YOUNG_SECONDS = 0.5
"""Age at which a finding is no longer sent, nor sent again. ArduPilot's ``PLND_LAG`` reaches 0.25 s."""
_QUIET_SECONDS = 2.5
"""Silence after a switch of spot: ArduPilot gives up a target after 2 s, and then begins its filter anew."""
_PRESENT_SECONDS = 3.0
"""Time without any word of the run after which nothing counts as valid."""
_MOST_FAILURES = 5
_WARNING, _NOTICE, _INFORMATION = 4, 5, 6
_FOUND = {LANDING: "landing spot found", FREE_SPACE: "free space is seen"}
_NOT_FOUND = {LANDING: "no landing spot", FREE_SPACE: "no free space"}


class MavlinkSink(Sink):
    """Tells the autopilot of a link the findings of one source. The link stays open when the sink is closed.

    A finding that is not valid is not sent. The autopilot learns it from the messages that do not come, from the
    heartbeat, and from a text when it changes.

    Args:
        link: open.
    """

    lossless = False
    beats = True
    ephemeral = True
    is_acted_on = True
    most_failures = _MOST_FAILURES

    def __init__(self, link: MavlinkLink) -> None:
        self.name = f"mavlink {link.name}"
        self._link = link
        self._lock = threading.Lock()
        self._kept: dict[str, Pacer[Mapping[str, Any]]] = {
            LANDING_TARGET: Pacer(quiet_s=_QUIET_SECONDS),
            OBSTACLE_DISTANCE: Pacer(),
        }
        self._texts: dict[str, Announcer] = {}
        self._valid = False
        self._present_at = -math.inf
        link.add(self)

    def write(self, output: Output) -> None:
        """Takes a result and its findings."""
        result = output.result
        spot, space = result.findings.get(LANDING), result.findings.get(FREE_SPACE)
        expires_at = time.monotonic() + _YOUNG_SECONDS - (now() - result.captured_at)
        target = self._landing_target(spot, result) if isinstance(spot, LandingSpot) else None
        obstacles = obstacles_of(space) if isinstance(space, FreeSpace) else None
        with self._lock:
            self._present_at = time.monotonic()
            self._valid = any(it.valid for it in result.findings.values()) or (
                result.valid and not result.findings
            )
            if isinstance(spot, LandingSpot):
                self._kept[LANDING_TARGET].offer(target, expires_at, spot.switches)
            self._kept[OBSTACLE_DISTANCE].offer(None if obstacles is None else obstacles.fields, expires_at)
            for name, (text, severity) in _words(result).items():
                self._texts.setdefault(name, Announcer()).offer(text, severity)
        self._link.wake()

    def announce(self, status: Status) -> None:
        """Notes that the run goes on."""
        with self._lock:
            self._present_at = time.monotonic()

    def close(self, commit: bool) -> None:
        """Ends what the sink has to tell."""
        self._link.remove(self)

    def is_valid(self) -> bool:
        """True if a finding is valid now; without findings, if the result is."""
        with self._lock:
            return self._valid and time.monotonic() - self._present_at < _PRESENT_SECONDS

    def messages(self) -> Iterable[Message]:
        """Returns what is to be sent now."""
        at = time.monotonic()
        with self._lock:
            kept = [
                (kind, fields) for kind, pacer in self._kept.items() if (fields := pacer.take(at)) is not None
            ]
            texts = [text for announcer in self._texts.values() if (text := announcer.take(at)) is not None]
        return [*kept, *texts]

    def next_in(self) -> float:
        """Returns the seconds until there may be something to send."""
        at = time.monotonic()
        with self._lock:
            waits = [pacer.next_in(at) for pacer in self._kept.values()]
            waits += [announcer.next_in(at) for announcer in self._texts.values()]
        return min(waits)

    def _landing_target(self, spot: LandingSpot, result: Segmentation) -> Mapping[str, Any] | None:
        autopilot = self._link.options.autopilot
        pose, down_m = result.pose, math.nan
        if autopilot == "px4":
            if pose is None:
                known = self._link.poses.at(result.captured_at)
                pose = known if isinstance(known, VehiclePose) else None
                down_m = self._link.down_at(result.captured_at)
            else:
                down_m = -pose.height_m  # a source that knows the pose has its origin on the ground
        target = landing_target(spot, autopilot, pose, down_m)
        return None if target is None else target.fields


def _words(result: Segmentation) -> dict[str, tuple[str, int]]:
    """Returns the state of each finding as text and its severity; of the result, if it has none."""
    if not result.findings:
        state = (
            ("results are valid", _INFORMATION) if result.valid else (f"not valid: {result.reason}", _WARNING)
        )
        return {"": state}
    words = {}
    for name, finding in result.findings.items():
        if finding.valid:
            words[name] = _FOUND.get(name, f"{name} is valid"), _INFORMATION
        else:
            reason = finding.reason if result.valid else result.reason
            words[name] = (
                f"{_NOT_FOUND.get(name, f'no {name}')}: {reason}",
                _NOTICE if result.valid else _WARNING,
            )
    return words
