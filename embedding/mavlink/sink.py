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
from .link import MavlinkLink
from .pacing import Announcer, Message, Pacer
from .reports import LANDING_TARGET, NOTICE, OBSTACLE_DISTANCE, Place, reports_of

QUIET_SECONDS = 2.5
"""Silence after a switch of spot: ArduPilot gives up a target after 2 s, and then begins its filter anew."""
_PRESENT_SECONDS = 3.0
"""Time without any word of the run after which nothing counts as valid."""
_MOST_FAILURES = 5


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
            LANDING_TARGET: Pacer(quiet_s=QUIET_SECONDS),
            OBSTACLE_DISTANCE: Pacer(),
        }
        self._texts: dict[str, Announcer] = {}
        self._valid = False
        self._present_at = -math.inf
        link.add(self)

    def write(self, output: Output) -> None:
        """Takes a result and its findings."""
        result = output.result
        age_s, at = now() - result.captured_at, time.monotonic()
        reports = list(reports_of(result, age_s, self._link.options.autopilot, self._place(result)))
        with self._lock:
            self._present_at = at
            # A smoothed class map alone is no reason to look healthy while the landing spot is lost.
            acted_on = [report for report in reports if report.kind] or reports
            self._valid = any(report.is_valid for report in acted_on)
            told = {report.kind for report in reports}
            for kind in self._kept.keys() - told:
                self._kept[kind].offer(None, at)
            for report in reports:
                self._texts.setdefault(report.name, Announcer()).offer(report.text, report.severity)
                if report.warning:
                    warned = self._texts.setdefault(f"warning of {report.name}", Announcer())
                    warned.offer(report.warning, NOTICE)
                if report.kind:
                    self._kept[report.kind].offer(
                        report.fields, at + report.oldest_s - age_s, report.ground_m
                    )
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

    def _place(self, result: Segmentation) -> Place:
        """Returns where the vehicle was at a frame: by its source if that knows it, else by the autopilot."""
        if result.pose is not None:
            # A source that knows the pose has its origin on the ground.
            return Place(result.pose, -result.pose.height_m)
        pose = self._link.poses.at(result.captured_at)
        if not isinstance(pose, VehiclePose):
            return Place()
        return Place(pose, self._link.down_at(result.captured_at))
