"""Which system is the vehicle: learnt from its autopilot's heartbeat, and kept."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

AUTOPILOT = 1
"""MAV_COMP_ID_AUTOPILOT1."""
_NO_AUTOPILOT = 8
_LOST_SECONDS = 5.0
_ELSEWHERE_SECONDS = 3.0


class Identity:
    """The vehicle's system id, and whether its autopilot is heard. Times are of ``time.monotonic()``, in seconds.

    Args:
        system: the vehicle's; None for that of the first autopilot that is heard.

    Attributes:
        system: the vehicle's; None as long as it is not known.
        is_heard: True if the autopilot's heartbeats come.
        sender: where they come from.
    """

    def __init__(self, system: int | None = None) -> None:
        self._wanted = system
        self.system: int | None = None
        self.is_heard = False
        self.sender: Any = None
        self._heard_at = 0.0
        self._silent_s = 0.0
        self._others: set[int] = set()

    def may_be(self, sender: Any) -> bool:
        """True if the vehicle may be there: it is where it was, or has been silent for a while."""
        return not self.is_heard or sender == self.sender or self._silent_s > _ELSEWHERE_SECONDS

    def wants(self, system: int, component: int) -> bool:
        """True if a frame may be of the vehicle's autopilot, or tell of another vehicle for the first time."""
        return component == AUTOPILOT and (self.system in (None, system) or system not in self._others)

    def take_heartbeat(self, system: int, component: int, message: Any, sender: Any, at: float) -> bool:
        """Takes a heartbeat.

        Returns:
            Whether it is that of the vehicle's autopilot.
        """
        if component != AUTOPILOT or message.autopilot == _NO_AUTOPILOT or system == 0:
            return False
        wanted = self._wanted if self.system is None else self.system
        if wanted not in (None, system):
            if system not in self._others:
                self._others.add(system)
                log.warning(
                    "System %d is heard; the vehicle is system %d, and the other one is ignored",
                    system,
                    wanted,
                    extra={"event": "mavlink-other-system", "fields": {"system": system}},
                )
            return False
        self.system, self.sender = system, sender
        self._heard_at, self._silent_s = at, 0.0
        return True

    def check(self, at: float) -> bool:
        """Notes how long the autopilot has been silent.

        Returns:
            Whether it has just been heard for the first time, or again.
        """
        self._silent_s = at - self._heard_at
        heard = self.system is not None and self._silent_s < _LOST_SECONDS
        if heard == self.is_heard:
            return False
        self.is_heard = heard
        fields = {"system": self.system}
        if heard:
            log.info(
                "The autopilot of system %s is heard",
                self.system,
                extra={"event": "autopilot-heard", "fields": fields},
            )
        else:
            log.warning(
                "The autopilot of system %s has been silent for %g s",
                self.system,
                _LOST_SECONDS,
                extra={"event": "autopilot-lost", "fields": fields},
            )
        return heard
