"""One MP4 file of overlays being written, and the pace at which it is to play."""

from __future__ import annotations

from pathlib import Path

import cv2

from ..errors import OutputError
from ..outputs import discard
from ..preprocess import Frame
from .base import Output

_LONGEST_PAUSE_SECONDS = 5


def even_size(frame_bgr: Frame) -> tuple[int, int]:
    """The size that a frame has in a video: the codec's chroma is half as fine, so sides must be even."""
    return max(2, frame_bgr.shape[0] & ~1), max(2, frame_bgr.shape[1] & ~1)


class Mp4File:
    """Writes frames of one size to a file.

    Args:
        partial: the name to write to.
        path: the name that the file will have, for messages.
        fps: frames a second that it plays at.
        size_hw: of all its frames, even.

    Attributes:
        frames: written so far.

    Raises:
        OutputError: the encoder is not there, or the disk is full.
    """

    def __init__(self, partial: Path, path: Path, fps: float, size_hw: tuple[int, int]) -> None:
        self.partial = partial
        self.size_hw = size_hw
        self.frames = 0
        self._path = path
        self._writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size_hw[::-1])
        if not self._writer.isOpened():
            discard(partial)
            raise OutputError(
                f"OpenCV cannot write {path}: its build lacks the MPEG-4 encoder, or the disk is full"
            )

    def write(self, frame_bgr: Frame) -> None:
        """Appends a frame, of which an odd last line or column is left out."""
        height, width = self.size_hw
        self._writer.write(frame_bgr[:height, :width])
        self.frames += 1

    def end(self, kept: str) -> None:
        """Ends the file and counts its frames: the encoder says nothing where the disk is full.

        Args:
            kept: what stays where it is not whole, for the message.

        Raises:
            OutputError: fewer frames are on the disk than were written.
        """
        self._writer.release()
        capture = cv2.VideoCapture(str(self.partial))
        try:
            on_disk = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        finally:
            capture.release()
        if on_disk != self.frames:
            raise OutputError(
                f"{self._path} is not whole ({on_disk} of {self.frames} frames reached the disk; is it full?); {kept}"
            )

    def abandon(self) -> None:
        """Lets the file go as it is."""
        self._writer.release()


class Pace:
    """How often each picture is written so that a video plays as fast as its frames were captured.

    Args:
        fps: of the video.
        in_real_time: repeat and leave out pictures; otherwise each comes once.
    """

    def __init__(self, fps: float, in_real_time: bool) -> None:
        self._fps = fps
        self._in_real_time = in_real_time
        self._first_at: float | None = None
        self._written = 0

    def copies(self, output: Output) -> int:
        """How often to write an output's picture now. A long pause is shortened."""
        if not self._in_real_time:
            return 1
        # A beat has no frame of its own: what counts is when it was known that nothing came.
        at = output.finished_at if output.beat else output.result.captured_at
        if self._first_at is None:
            self._first_at = at
        missing = round((at - self._first_at) * self._fps) + 1 - self._written
        most = round(_LONGEST_PAUSE_SECONDS * self._fps)
        if missing > most:
            self._written += missing - most
            missing = most
        copies = max(0, missing)
        self._written += copies
        return copies
