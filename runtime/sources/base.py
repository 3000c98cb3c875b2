"""The contract of every source of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

import numpy as np
import numpy.typing as npt


class Source(ABC):
    """Gives frames one after another. It is open from its construction until :meth:`close`.

    Attributes:
        name: for people.
        live: frames come at the world's pace, and one that is not read in time is gone. Otherwise they wait.
        fps: frames a second that the source claims, or None where it does not know.
        frame_name: of the frame last read, where frames have names, as pictures have; else empty.
    """

    name: str
    live: bool = False
    fps: float | None = None
    frame_name: str = ""

    @abstractmethod
    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, uint8 [H, W, 3] BGR, which is the caller's to keep; None at the end.

        Raises:
            SourceError: a frame should be there and cannot be had.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets the device or file go. Closing twice is harmless."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
