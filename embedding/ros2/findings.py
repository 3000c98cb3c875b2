"""Findings as messages: which topics tell them, and when they say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...runtime.findings import Finding
from ..landing import LandingSpot
from . import messages
from .library import Ros
from .topics import LANDING


def messages_of(ros: Ros, header: Any, findings: Mapping[str, Finding]) -> Iterator[tuple[str, Any]]:
    """Gives the topics of the findings, each with its message.

    A landing spot that is not valid is not told: a pose has no way to say that it does not hold.

    Args:
        ros: the messages.
        header: with the stamp of the frame, and the coordinate frame of the vehicle.
        findings: of a result.
    """
    for finding in findings.values():
        if isinstance(finding, LandingSpot) and finding.valid:
            yield LANDING, messages.landing_pose(ros, header, finding.frd_m)
