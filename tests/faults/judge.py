"""Judges a soak: what somebody who follows the events knew at each moment, and whether that was right."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .disturbances import Happening
from .live_run import Event, Pace, verdict_of

SAMPLES_A_SECOND = 10
_UNDER_WAY_S = 0.2
"""A frame may be on its way as a disturbance begins, and an event as it is looked for."""


@dataclass(frozen=True)
class Judgement:
    """The judgement on a soak's seconds.

    Attributes:
        seconds: judged.
        valid: of them, with a valid result at each sample.
        reasons: of the others, how many there were with each reason; a second may have several.
        wrong: what should not have been, a line each.
        oldest_s: the greatest age of a valid result at any sample.
    """

    seconds: int
    valid: int
    reasons: Mapping[str, int]
    wrong: Sequence[str]
    oldest_s: float


@dataclass(frozen=True)
class _Known:
    """An event's content: its time, valid or not, the reason, and the capture time of the valid result's frame."""

    at: float
    valid: bool
    reason: str
    captured_at: float


def judge(
    events: Sequence[Event], happenings: Sequence[Happening], pace: Pace, began_at: float, ended_at: float
) -> Judgement:
    """Judges each tenth of each second between two moments.

    At each, the newest event must not be old: the run speaks at least at its heartbeat. If it says valid, its result
    must be younger than ``--max-age`` and two heartbeats, and no disturbance be under way that does not let results be
    valid. If it says not valid, the reason must be one of a disturbance that is under way, or over for no longer
    than it may take to come back.

    Args:
        events: of the run.
        happenings: the faults that were injected.
        pace: of the run.
        began_at, ended_at: ``edgeseg.now()`` in seconds.
    """
    known = [each for event in events if (each := _known(event)) is not None]
    times = [each.at for each in known]
    bound_s, silence_s = pace.told_s + _UNDER_WAY_S, 3 / pace.heartbeat_hz + pace.slack_s
    valid, oldest_s, wrong, reasons = 0, 0.0, [], Counter[str]()
    seconds = math.floor(ended_at - began_at)
    for second in range(seconds):
        here: set[str] = set()
        for sample in range(SAMPLES_A_SECOND):
            now = began_at + second + sample / SAMPLES_A_SECOND
            place = bisect_right(times, now) - 1
            if place < 0 or now - times[place] > silence_s:
                wrong.append(f"at {now - began_at:.1f} s: no event for {silence_s:.1f} s")
                continue
            newest = known[place]
            if newest.valid:
                age_s = now - newest.captured_at
                oldest_s = max(oldest_s, age_s)
                problem = _why_not_valid(happenings, now, bound_s)
                if age_s > bound_s:
                    problem = f"{age_s:.2f} s old"
                if problem:
                    wrong.append(f"at {now - began_at:.1f} s: valid, but {problem}")
            else:
                here.add(newest.reason)
                if newest.reason not in _allowed(happenings, now, pace):
                    wrong.append(
                        f"at {now - began_at:.1f} s: {newest.reason}, but {_around(happenings, now)}"
                    )
        valid += not here
        reasons.update(here)
    return Judgement(seconds, valid, dict(reasons), wrong, oldest_s)


def _known(event: Event) -> _Known | None:
    verdict = verdict_of(event)
    if verdict is None or (event["type"] == "change" and verdict[0]):
        return None  # a change to valid comes with the result that made it
    at = event["monotonic_s"]
    captured_at = (
        event["captured_at"] if event["type"] == "result" else at - (event.get("age_ms") or 0.0) / 1e3
    )
    return _Known(at, verdict[0], verdict[1], captured_at)


def _why_not_valid(happenings: Sequence[Happening], now: float, bound_s: float) -> str:
    for each in happenings:
        if each.what.tells and each.began_at + each.what.within_s + bound_s < now < each.ended_at:
            return f"{each.what.name} for {now - each.began_at:.1f} s"
    return ""


def _allowed(happenings: Sequence[Happening], now: float, pace: Pace) -> set[str]:
    found: set[str] = set()
    for each in happenings:
        if each.began_at <= now <= each.ended_at + each.what.back_s + pace.told_s:
            found.update(each.what.reasons)
    return found


def _around(happenings: Sequence[Happening], now: float) -> str:
    before = [each for each in happenings if each.began_at <= now]
    if not before:
        return "nothing has happened yet"
    last = before[-1]
    if now <= last.ended_at:
        return f"{last.what.name} is under way"
    return f"{last.what.name} is over for {now - last.ended_at:.1f} s"
