"""Asks the autopilot for the messages that are needed, and again where they do not come."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

SET_MESSAGE_INTERVAL = 511
_ACCEPTED, _TEMPORARILY_REJECTED, _IN_PROGRESS = 0, 1, 5
_RESULTS = {2: "denied", 3: "unsupported", 4: "failed", 6: "cancelled"}
_SILENT_SECONDS = 2.0
_ANSWER_SECONDS = 1.0
_FIRST_AGAIN_SECONDS, _LAST_AGAIN_SECONDS = 2.0, 16.0

MESSAGES = {
    "ATTITUDE": 30,
    "ATTITUDE_QUATERNION": 31,
    "LOCAL_POSITION_NED": 32,
    "GLOBAL_POSITION_INT": 33,
    "DISTANCE_SENSOR": 132,
    "ALTITUDE": 141,
}


@dataclass
class _Need:
    """One thing to know.

    Attributes:
        what: for display.
        kinds: the messages that tell it, the first asked for first.
        rate_hz: the messages a second to ask for.
        seen_at: when one came, by ``time.monotonic()``.
        ask_at: when to ask again, likewise.
        again_s: seconds from one question to the next.
        asked: number of questions.
        refused: the kinds that were refused.
    """

    what: str
    kinds: tuple[str, ...]
    rate_hz: float
    seen_at: float | None = None
    ask_at: float = 0.0
    again_s: float = _FIRST_AGAIN_SECONDS
    asked: int = 0
    refused: set[str] = field(default_factory=set)


class Needs:
    """The messages to ask for, one question at a time, so that an answer is known to be to which.

    Times are of ``time.monotonic()``, in seconds.
    """

    def __init__(self) -> None:
        self._needs = self._fresh()
        self._waiting: tuple[_Need, str, float] | None = None
        self._told: set[str] = set()

    @staticmethod
    def _fresh() -> tuple[_Need, ...]:
        return (
            # Attitudes further apart than 0.2 s are not interpolated; two lost in a row should do no harm.
            _Need("attitude", ("ATTITUDE", "ATTITUDE_QUATERNION"), 25.0),
            _Need("position", ("LOCAL_POSITION_NED",), 15.0),
            _Need("range", ("DISTANCE_SENSOR",), 10.0),
            _Need("height", ("GLOBAL_POSITION_INT", "ALTITUDE"), 5.0),
        )

    def begin(self) -> None:
        """Asks for everything anew, as after a restart of the autopilot."""
        self._needs, self._waiting = self._fresh(), None

    def seen(self, kind: str, at: float) -> None:
        """Notes that a message came."""
        for need in self._needs:
            if kind in need.kinds:
                need.seen_at, need.again_s = at, _FIRST_AGAIN_SECONDS

    def next_question(self, at: float) -> dict[str, float] | None:
        """Returns the parameters ``param1`` and ``param2`` of the next SET_MESSAGE_INTERVAL; None if none is due."""
        if self._waiting is not None and at - self._waiting[2] < _ANSWER_SECONDS:
            return None
        self._waiting = None
        for need in self._needs:
            # What comes by itself may come too slowly, so everything is asked for once.
            quiet = need.seen_at is None or at - need.seen_at > _SILENT_SECONDS
            if at < need.ask_at or (need.asked and not quiet):
                continue
            kind = need.kinds[need.asked % len(need.kinds)]
            need.asked += 1
            if need.asked % len(need.kinds) == 0:
                need.ask_at = at + need.again_s
                need.again_s = min(2 * need.again_s, _LAST_AGAIN_SECONDS)
            else:
                need.ask_at = at + _ANSWER_SECONDS
            self._waiting = need, kind, at
            return {"param1": float(MESSAGES[kind]), "param2": round(1e6 / need.rate_hz)}
        return None

    def take_answer(self, message: Any) -> str:
        """Takes a COMMAND_ACK of the autopilot.

        Returns:
            A line to tell if it refuses a message for the first time; else empty.
        """
        if message.command != SET_MESSAGE_INTERVAL or self._waiting is None:
            return ""
        need, kind, _ = self._waiting
        if message.result == _IN_PROGRESS:
            return ""
        self._waiting = None
        if message.result in (_ACCEPTED, _TEMPORARILY_REJECTED):
            return ""
        need.refused.add(kind)
        if kind in self._told:
            return ""
        self._told.add(kind)
        result = _RESULTS.get(message.result, f"result {message.result}")
        log.warning(
            "The autopilot does not send %s (%s): %s",
            kind,
            result,
            f"there is no {need.what}" if need.refused >= set(need.kinds) else "another message is asked for",
            extra={"event": "mavlink-refused", "fields": {"message": kind, "result": result}},
        )
        return f"no {kind}: {result}"
