"""Findings: conclusions from a class map, such as a landing spot, which go with it to the sinks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from ..core.arrays import Frame, Points

MASK_INVALID = "mask-invalid"
"""The reason of every finding whose class map may not be acted on."""


_COLOURS_BGR = {True: (90, 230, 60), False: (40, 170, 250)}
_SHADOW_BGR = (20, 20, 20)
_MOST_PX = 30_000
"""OpenCV draws with 16 bits before the point."""


@dataclass(frozen=True)
class Outline:
    """A line that shows a finding over its frame.

    Attributes:
        points: float64 [N, 2], shares of the frame's width and height from its upper left corner; some may be outside.
        closed: True if the last point is joined to the first.
        bold: True for the line that matters most.
    """

    points: Points
    closed: bool = True
    bold: bool = False


class Finding(ABC):
    """A conclusion from a class map. Concrete findings are frozen dataclasses.

    When a result stops being valid, for example because it grew too old, its findings are invalidated with it. So
    nothing that acts on a finding has to judge the age of the result again.

    Attributes:
        valid: True if the finding may be acted on.
        reason: the reason if not valid, a word; empty if valid.
        captured_at: when the frame was captured, ``edgeseg.now()`` in seconds.
        blind_to: what it cannot know, in a few words, whatever its reason says; empty if there is nothing to warn of.
            Every interface tells it beside the finding.
    """

    valid: bool
    reason: str
    captured_at: float
    blind_to: ClassVar[str] = ""

    @property
    @abstractmethod
    def caption(self) -> str:
        """One short line for people."""

    @property
    def warning(self) -> str:
        """The line that people have to know beside the caption; empty if there is nothing to warn of."""
        return f"blind to {self.blind_to}" if self.blind_to else ""

    @abstractmethod
    def invalidated(self, reason: str) -> Finding:
        """Returns the finding as not valid, with no number that could be acted on.

        Args:
            reason: a word.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Returns the finding ready for JSON: ``valid``, ``reason`` and its numbers. Unknown numbers are None."""

    def outlines(self) -> Sequence[Outline]:
        """Returns the lines that show the finding over its frame, for overlays and the preview page."""
        return ()

    def draw(self, canvas_bgr: Frame) -> None:
        """Draws the outlines over the overlay of the frame, in place: green if valid, else orange.

        Args:
            canvas_bgr: uint8 [H, W, 3], of the frame's size or smaller, with the same aspect ratio.
        """
        height, width = canvas_bgr.shape[:2]
        stroke = max(1, min(height, width) // 240)
        for outline in self.outlines():
            points = outline.points * (width, height)
            if not np.isfinite(points).all() or np.abs(points).max() > _MOST_PX:
                continue
            line, thickness = [np.round(points).astype(np.int32)], stroke * (2 if outline.bold else 1)
            cv2.polylines(canvas_bgr, line, outline.closed, _SHADOW_BGR, thickness + 2 * stroke, cv2.LINE_AA)
            cv2.polylines(canvas_bgr, line, outline.closed, _COLOURS_BGR[self.valid], thickness, cv2.LINE_AA)
