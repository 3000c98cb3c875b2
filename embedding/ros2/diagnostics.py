"""The diagnostics of one source: a ``diagnostic_msgs/DiagnosticArray`` with one status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...runtime.reasons import MEANING
from ...runtime.status import STARTING, SourceStatus, Status
from .library import Ros

OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"

INACTIVE, ENDED = "inactive", "ended"
"""Reasons of the last mask before the topics fall silent."""

_MEANING = {**MEANING, INACTIVE: "the node was deactivated", ENDED: "the run has ended"}
_DIGITS = 3


@dataclass(frozen=True)
class Health:
    """The health of a source, in the form of a ``diagnostic_msgs/DiagnosticStatus``.

    Attributes:
        level: ``OK``, ``WARN`` or ``ERROR``, one byte.
        message: ``valid``, or the reason with its meaning.
        values: more facts, by name.
    """

    level: bytes
    message: str
    values: dict[str, str]


def health_of(reason: str | None, status: Status | None, source: SourceStatus | None) -> Health:
    """Returns the health of a source.

    Args:
        reason: why its newest result is not valid; empty if it is, None if there was no result.
        status: of the run, announced last; None before the first time.
        source: its part of the status.
    """
    values: dict[str, str] = {"reason": reason or ""}
    limited: list[str] = []
    if status is not None and source is not None:
        values |= _values(status, source)
        limited = [text for text in (status.degraded, *status.board.throttled) if text]
        limited += [f"{sink.name} is disabled" for sink in source.sinks if sink.disabled]
    if reason is None:
        starting = status is None or status.state == STARTING
        return Health(WARN if starting else ERROR, "starting" if starting else "no result yet", values)
    if reason:
        problem = f" ({source.problem})" if source is not None and source.problem else ""
        return Health(ERROR, f"not valid: {reason}: {_MEANING.get(reason, reason)}{problem}", values)
    return Health(WARN if limited else OK, "; ".join(["valid", *limited]), values)


def _values(status: Status, source: SourceStatus) -> dict[str, str]:
    values: dict[str, object] = {
        "state": status.state,
        "connected": source.connected,
        "age_s": "" if source.age_seconds is None else round(source.age_seconds, _DIGITS),
        "fps": round(source.fps, _DIGITS),
        "frame_id": "" if source.frame_id is None else source.frame_id,
        "captured": source.captured,
        "results": source.results,
        "dropped": source.dropped,
        "missing": source.missing,
        "reconnects": source.reconnects,
        "deadline_misses": source.deadline_misses,
        "bundle": status.bundle,
        "variant": status.variant,
        "backend": f"{status.backend} {status.device}",
    }
    for name, finding in source.findings.items():
        values |= {f"{name}_valid": finding.valid, f"{name}_reason": finding.reason}
        if finding.blind_to:
            values[f"{name}_blind_to"] = finding.blind_to
    values |= {f"latency_{name}_ms": round(ms, _DIGITS) for name, ms in source.latency_ms.items()}
    values |= {f"not_valid_{reason}": count for reason, count in source.invalid.items()}
    return {name: str(value) for name, value in values.items()}


def diagnostic_array(ros: Ros, header: Any, name: str, hardware_id: str, health: Health) -> Any:
    """Returns a ``diagnostic_msgs/DiagnosticArray``.

    Args:
        ros: the messages.
        header: with the time of publication.
        name: of the status: the node and the source.
        hardware_id: the source.
        health: of the source.
    """
    status = ros.diagnostic.DiagnosticStatus()
    status.level, status.name, status.message, status.hardware_id = (
        health.level, name, health.message, hardware_id,
    )  # fmt: skip
    for key, value in health.values.items():
        pair = ros.diagnostic.KeyValue()
        pair.key, pair.value = key, value
        status.values.append(pair)
    message = ros.diagnostic.DiagnosticArray()
    message.header = header
    message.status.append(status)
    return message
