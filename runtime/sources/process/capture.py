"""What runs in the capturing child: a library's capture, behind one small contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]


class CaptureError(Exception):
    """A capture cannot be opened, or gives no more.

    Args:
        problem: why, in one line.
        hopeless: whether it is in vain to try again, because this machine lacks what it takes.
    """

    def __init__(self, problem: str, hopeless: bool = False) -> None:
        super().__init__(problem)
        self.hopeless = hopeless


@dataclass(frozen=True)
class Grabbed:
    """A frame.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        at: ``edgeseg.now()`` in seconds when it was captured.
        fault: a word of :mod:`edgeseg.runtime.reasons`; else empty.
    """

    frame: Frame
    at: float
    fault: str = ""


class Capture(ABC):
    """A library's capture. It is opened by its construction with a plain mapping, which may hang, as may all else.

    Attributes:
        fps: frames a second that it claims; None where it does not know.
        notes: what the user should know, such as a mode that is not as asked for.
    """

    fps: float | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, spec: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame.

        Args:
            into: memory that the frame may be written to, where it has its shape; None before the first frame.

        Raises:
            CaptureError: there is none.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets the device go."""
