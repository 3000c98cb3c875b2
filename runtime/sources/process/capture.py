"""The interface to a library's capture, which runs in the capturing child."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....core.arrays import Frame


class CaptureError(Exception):
    """A capture cannot be opened, or gives no more frames.

    Args:
        problem: the reason, in one line.
        hopeless: True if another attempt is useless, because this machine lacks something.
    """

    def __init__(self, problem: str, hopeless: bool = False) -> None:
        super().__init__(problem)
        self.hopeless = hopeless


@dataclass(frozen=True)
class Grabbed:
    """A frame.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        at: the time of capture, in seconds of ``edgeseg.now()``.
        fault: a word of :mod:`edgeseg.runtime.reasons`; else empty.
    """

    frame: Frame
    at: float
    fault: str = ""


class Capture(ABC):
    """A library's capture. Its construction with a plain mapping opens it. That and all methods may hang.

    Attributes:
        fps: the frames a second that it claims; None if it does not know.
        notes: lines for the user, such as about a mode that differs from the request.
    """

    fps: float | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, spec: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame.

        Args:
            into: memory that the frame may be written to, if the shapes match; None before the first frame.

        Raises:
            CaptureError: there is none.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases the device."""
