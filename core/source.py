"""The contract of every source of frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

import numpy as np
import numpy.typing as npt

from .pose import VehiclePose


class Source(ABC):
    """Gives frames one after another. It is open from its construction until :meth:`close`.

    Only one thread at a time may read. The attributes below belong to the frame that was read last. Any thread may call
    :meth:`interrupt`. Another thread may also close a video, a camera or a server: a :meth:`read` in progress ends
    first. In a forked child these do not work: ``read`` raises SourceError, and ``close`` does nothing.

    Attributes:
        name: for display, logs and labels; without credentials.
        live: frames come in real time, and one that is not read in time is lost. Otherwise frames wait.
        fps: frames a second that the source claims, or None if it does not know.
        frame_name: name of the frame last read, if frames have names, as images have; else empty.
        frame_at: ``edgeseg.now()`` in seconds when the frame last read was captured; None if the source does not
            know: then the moment when :meth:`read` returned counts.
        frame_fault: the reason not to trust the frame last read, a word of :mod:`edgeseg.runtime.reasons`; else
            empty.
        frame_number: number of the frame last read in its video, from 0; it jumps over missing frames. None if the
            source does not number its frames: then they are counted in order of arrival.
        frame_time_s: display time of the frame last read, in seconds from the video's first frame; None if the source
            has no such time.
        frame_pose: pose of the vehicle when the frame last read was captured; None if the source does not know it.
        knows_pose: True if the source gives ``frame_pose``.
        horizontal_fov_deg: angle from the left edge of its frames to the right one, in degrees; None if it does not
            know it.
        missing: number of frames that are missing so far, as in a damaged file.
        connected: True while the device or server is there. Only a live source can lose it; the next frame restores it.
        problem: the reason that it is not connected, in one line without credentials; else empty.
        reconnects: number of times that the source came back.
        dropped: number of frames that the source discarded unread because newer ones had come.
    """

    name: str
    live: bool = False
    fps: float | None = None
    frame_name: str = ""
    frame_at: float | None = None
    frame_fault: str = ""
    frame_number: int | None = None
    frame_time_s: float | None = None
    frame_pose: VehiclePose | None = None
    knows_pose: bool = False
    horizontal_fov_deg: float | None = None
    connected: bool = True
    problem: str = ""
    reconnects: int = 0
    dropped: int = 0
    missing: int = 0

    @abstractmethod
    def read(self) -> npt.NDArray[np.uint8] | None:
        """Reads the next frame, uint8 [H, W, 3] BGR, which the caller may keep; None at the end or once interrupted.

        Raises:
            SourceError: the next frame cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases the device or file. Closing twice is harmless."""

    def interrupt(self) -> None:
        """Makes a waiting :meth:`read` return None soon. Any thread may call it. Sources that never wait ignore it."""
        return

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
