"""The contract of every source of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

import numpy as np
import numpy.typing as npt


class Source(ABC):
    """Gives frames one after another. It is open from its construction until :meth:`close`.

    One thread at a time reads, and the attributes below belong to the frame that it read last. Any other may call
    :meth:`interrupt`. Films, cameras and servers may also be closed by another: a :meth:`read` that is under way ends
    first. A forked child leaves those alone: its ``read`` raises SourceError, its ``close`` does nothing.

    Attributes:
        name: for people, logs and labels; without credentials.
        live: frames come at the world's pace, and one that is not read in time is gone. Otherwise they wait.
        fps: frames a second that the source claims, or None where it does not know.
        frame_name: of the frame last read, where frames have names, as pictures have; else empty.
        frame_at: ``edgeseg.now()`` in seconds when the frame last read was captured; None where the source does
            not know, and the moment that :meth:`read` returned counts.
        frame_fault: why the frame last read is not to be believed, a word of :mod:`edgeseg.runtime.reasons`; else
            empty.
        frame_number: of the frame last read in its film, from 0: it jumps where frames are missing. None where a source
            does not number its frames; they count as they come.
        frame_time_s: when the frame last read is to be shown, in seconds from its film's first; None where the source
            knows no such time.
        missing: frames that should have been there until now and are not, as where a file is damaged.
        connected: whether the device or server is there. Only live sources lose it; they are back with a frame.
        problem: why it is not connected, in one line without credentials; else empty.
        reconnects: how often the source came back.
        dropped: frames that the source itself let go because newer ones had come, before anyone could read them.
    """

    name: str
    live: bool = False
    fps: float | None = None
    frame_name: str = ""
    frame_at: float | None = None
    frame_fault: str = ""
    frame_number: int | None = None
    frame_time_s: float | None = None
    connected: bool = True
    problem: str = ""
    reconnects: int = 0
    dropped: int = 0
    missing: int = 0

    @abstractmethod
    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, uint8 [H, W, 3] BGR, which is the caller's to keep; None at the end, or once interrupted.

        Raises:
            SourceError: a frame should be there and cannot be had.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets the device or file go. Closing twice is harmless."""

    def interrupt(self) -> None:
        """Lets a :meth:`read` that waits return None soon. Any thread may call it; sources that never wait need not."""
        return

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
