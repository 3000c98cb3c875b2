"""Findings: conclusions from a class map, such as a landing spot, which go with it to the sinks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..core.arrays import Frame

MASK_INVALID = "mask-invalid"
"""The reason of every finding whose class map may not be acted on."""


class Finding(ABC):
    """A conclusion from a class map. Concrete findings are frozen dataclasses.

    When a result stops being valid, for example because it grew too old, its findings are invalidated with it. So
    nothing that acts on a finding has to judge the age of the result again.

    Attributes:
        valid: True if the finding may be acted on.
        reason: the reason if not valid, a word; empty if valid.
        captured_at: when the frame was captured, ``edgeseg.now()`` in seconds.
    """

    valid: bool
    reason: str
    captured_at: float

    @property
    @abstractmethod
    def caption(self) -> str:
        """One short line for people."""

    @abstractmethod
    def invalidated(self, reason: str) -> Finding:
        """Returns the finding as not valid, with no number that could be acted on.

        Args:
            reason: a word.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Returns the finding ready for JSON: ``valid``, ``reason`` and its numbers. Unknown numbers are None."""

    def draw(self, canvas_bgr: Frame) -> None:
        """Draws the finding over the overlay of its frame, in place. Nothing by default.

        Args:
            canvas_bgr: uint8 [H, W, 3], of the frame's size or smaller, with the same aspect ratio.
        """
        return
