"""Events as JSON lines: results, heartbeats and changes, in the form of ``event_schema.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ...core.labels import LabelMap
from ..clock import now
from ..status import SourceStatus, Status
from .base import Output, Sink
from .event_targets import open_target

SCHEMA = "edgeseg.event/1"

_OPTIONAL = ("timings_ms", "sinks", "board", "shares", "invalid", "detail", "name", "findings")
"""Fields that are left out, in this order, if an event is too long for its target."""
_MOST_FAILURES = 10
_SHARE_DIGITS, _MS_DIGITS, _SECONDS_DIGITS = 4, 2, 6


class EventsSink(Sink):
    """Writes the events of one source as JSON, one line each.

    ``result`` comes with each class map. ``heartbeat`` comes at the rate of the run's status, with or without frames.
    ``change`` comes when results or findings stop or start to be valid, the source is lost or back, a sink is disabled,
    or the run uses something other than was requested.

    Args:
        target: ``-`` for standard output; a file to append to; or ``udp://HOST:PORT``.
        labels: the classes, for their names.
        source: the number of the source, from 1; 0 if there is only one.

    Raises:
        UsageError: the target is none of these.
        OutputError: it cannot be written to.
    """

    lossless = True
    beats = True
    is_acted_on = True
    most_failures = _MOST_FAILURES

    def __init__(self, target: str, labels: LabelMap, source: int = 0) -> None:
        self._target = open_target(target)
        self.name = f"events {self._target.name}"
        self._names = labels.names
        self._source = source
        self._reason: str | None = None
        self._newest_id = -1
        self._known: dict[str, str] = {}
        self._findings: dict[str, str] = {}

    def write(self, output: Output) -> None:
        """Writes a result, and a change if its validity changed. For a beat it writes only the change.

        Raises:
            OutputError: the target accepts no more.
        """
        result = output.result
        finished_at = output.finished_at or now()
        if result.reason != self._reason:
            before, self._reason = self._reason, result.reason
            self._change("validity", _validity(before), _validity(result.reason), result.reason)
        for name, finding in result.findings.items():
            known = self._findings.get(name)
            if finding.reason != known:
                self._findings[name] = finding.reason
                self._change(f"finding {name}", _validity(known), _validity(finding.reason), finding.reason)
        if output.beat:
            return
        self._newest_id = result.frame_id
        event: dict[str, Any] = {
            **self._head("result"),
            "frame_id": result.frame_id,
            "valid": result.valid,
            "reason": result.reason,
            "captured_at": round(result.captured_at, _SECONDS_DIGITS),
            "age_ms": round(max(0.0, now() - result.captured_at) * 1e3, _MS_DIGITS),
            "latency_ms": round(max(0.0, finished_at - result.captured_at) * 1e3, _MS_DIGITS),
            "size_hw": list(result.classes.shape),
            "timings_ms": {name: round(ms, _MS_DIGITS) for name, ms in result.timings_ms.items()},
            "shares": self._shares(output),
        }
        if output.time_s is not None:
            event["time_s"] = round(output.time_s, _SECONDS_DIGITS)
        if output.name:
            event["name"] = output.name
        if result.findings:
            event["findings"] = {name: finding.facts() for name, finding in result.findings.items()}
        self._send(event)

    def announce(self, status: Status) -> None:
        """Writes the changes since the last heartbeat, and then a heartbeat.

        Writes no heartbeat if a newer result than its own has been written: it would be out of date.

        Raises:
            OutputError: the target accepts no more.
        """
        self._target.refresh()
        source = next((each for each in status.sources if each.number == self._source), None)
        if source is None:
            return
        self._changes(status, source)
        newest_id = -1 if source.frame_id is None else source.frame_id
        if self._newest_id > newest_id:
            return
        self._send(
            {
                **self._head("heartbeat"),
                "state": status.state,
                "ready": status.ready,
                "uptime_s": round(status.uptime_seconds, 3),
                "valid": source.valid,
                "reason": source.reason,
                "age_ms": None if source.age_seconds is None else round(source.age_seconds * 1e3, _MS_DIGITS),
                "frame_id": source.frame_id,
                "connected": source.connected,
                "fps": round(source.fps, _MS_DIGITS),
                "captured": source.captured,
                "results": source.results,
                "dropped": source.dropped,
                "missing": source.missing,
                "reconnects": source.reconnects,
                "deadline_misses": source.deadline_misses,
                "latency_ms": {name: round(ms, _MS_DIGITS) for name, ms in source.latency_ms.items()},
                "invalid": dict(source.invalid),
                **_findings_of(source),
                "variant": status.variant,
                "backend": status.backend,
                "degraded": status.degraded,
                "board": {
                    "temperatures": {
                        name: round(value, 1) for name, value in status.board.temperatures.items()
                    },
                    "throttled": list(status.board.throttled),
                },
                "sinks": [
                    {
                        "name": sink.name,
                        "written": sink.written,
                        "dropped": sink.dropped,
                        "errors": sink.errors,
                        "disabled": sink.disabled,
                    }
                    for sink in source.sinks
                ],
            }
        )

    def close(self, commit: bool) -> None:
        """Releases the target. Events that were written stay, because they were true."""
        self._target.close()

    def _changes(self, status: Status, source: SourceStatus) -> None:
        now = {
            "source": "connected" if source.connected else "lost",
            "degraded": status.degraded or "as asked",
        }
        now |= {f"sink {sink.name}": "disabled" if sink.disabled else "enabled" for sink in source.sinks}
        now["state"] = status.state
        problems = {f"sink {sink.name}": sink.problem for sink in source.sinks} | {"source": source.problem}
        usual = {"source": "connected", "degraded": "as asked"}
        for what, is_now in now.items():
            # The first time, only a state that is not the usual one is a change.
            before = self._known.get(what, usual.get(what, "enabled" if what != "state" else is_now))
            self._known[what] = is_now
            if is_now != before:
                self._change(what, before, is_now, problems.get(what, ""))

    def _change(self, what: str, before: str, now: str, detail: str) -> None:
        kind, _, name = what.partition(" ")
        event = {**self._head("change"), "what": kind, "from": before, "to": now, "detail": detail}
        if name:
            event[kind] = name
        self._send(event)

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "type": kind,
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "monotonic_s": round(now(), _SECONDS_DIGITS),
            "source": self._source,
        }

    def _shares(self, output: Output) -> Mapping[str, float]:
        shares = output.shares if output.shares.size else output.result.shares(len(self._names))
        return {
            name: round(share, _SHARE_DIGITS)
            for name, share in zip(self._names, shares.tolist(), strict=True)
            if share > 0
        }

    def _send(self, event: dict[str, Any]) -> None:
        most = self._target.most_bytes
        line = encode(event)
        if most is not None and len(line) > most:
            cut: list[str] = []
            for name in _OPTIONAL:
                if name in event:
                    del event[name]
                    cut.append(name)
                    line = encode({**event, "cut": cut})
                    if len(line) <= most:
                        break
        self._target.send(line)


def _findings_of(source: SourceStatus) -> dict[str, Any]:
    """Returns the validity of each finding and what it cannot know, for a heartbeat; nothing if there are none."""
    found = {
        name: {
            "valid": each.valid,
            "reason": each.reason,
            **({"blind_to": each.blind_to} if each.blind_to else {}),
        }
        for name, each in source.findings.items()
    }
    return {"findings": found} if found else {}


def encode(event: Mapping[str, Any]) -> bytes:
    """An event as a line of JSON in ASCII. No control character or byte of a name can break the line."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _validity(reason: str | None) -> str:
    if reason is None:
        return "unknown"
    return "invalid" if reason else "valid"
