"""Findings as messages: which topics tell them, and when they say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...runtime.findings import Finding
from ..free_space.finding import FreeSpace
from ..landing.spot import LandingSpot
from . import messages
from .library import Ros
from .parameters import NodeParameters
from .stamps import RosStamp
from .topics import GRID, LANDING, SCAN


def messages_of(
    ros: Ros, nanoseconds: int, frames: NodeParameters, findings: Mapping[str, Finding]
) -> Iterator[tuple[str, Any]]:
    """Gives the topics of the findings, each with its message.

    A landing spot that is not valid is not told: a pose has no way to say that it does not hold. Free space that is not
    valid is told as unknown everywhere.

    Args:
        ros: the messages.
        nanoseconds: the stamp of the frame.
        frames: the names of the coordinate frames.
        findings: of a result.
    """
    for finding in findings.values():
        if isinstance(finding, LandingSpot) and finding.valid:
            header = messages.header_of(ros, RosStamp(frames.base_frame, nanoseconds))
            yield LANDING, messages.landing_pose(ros, header, finding.frd_m)
        elif isinstance(finding, FreeSpace) and finding.grid.size:
            header = messages.header_of(ros, RosStamp(frames.base_frame, nanoseconds))
            place, sectors = finding.grid_frame, finding.sectors
            corner = place.x_m, place.y_m
            yield GRID, messages.occupancy_grid(ros, header, finding.grid, place.cell_m, corner)
            header = messages.header_of(ros, RosStamp(frames.scan_frame, nanoseconds))
            first, step = float(sectors.bearings.middles[0]), sectors.bearings.step
            limits = 0.0, finding.reach_m
            yield SCAN, messages.laser_scan(ros, header, sectors.nearest_m, first, step, limits)
