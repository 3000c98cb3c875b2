"""One MP4 file of overlays while it is written, and its pace of frames."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2

from ...core.arrays import Frame
from ...core.errors import OutputError
from ...core.native_name import native_name
from ...core.outputs import discard
from .base import Output
from .mp4_times import set_times

log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 5
_CODECS = (("mp4v", "MPEG-4", 8190), ("MJPG", "Motion JPEG", 65500))
"""In order of preference: four letters, name, and the longest side in pixels that the codec can express."""
_MOST_TICKS = 65535
_SLOWEST_FPS = 0.01
_EVEN_S = 2e-3
"""The rate is constant if no frame is further than this from its place. Matroska rounds to a millisecond."""


def even_size(frame_bgr: Frame) -> tuple[int, int]:
    """Returns a frame's size in a video. Sides must be even, because the codec's chroma has half the resolution."""
    return (frame_bgr.shape[0] + 1) & ~1, (frame_bgr.shape[1] + 1) & ~1


def codec_fps(fps: float) -> float:
    """Returns the rate nearest to ``fps`` that an MPEG-4 stream can have: its clock has at most 65535 ticks a second.

    OpenCV expresses a rate in whole, tenth, hundredth or thousandth frames, the first that is near.
    """
    for ticks in (1000, 100, 10, 1):
        rounded = round(fps * ticks) / ticks
        if fps * ticks <= _MOST_TICKS:
            return max(rounded, _SLOWEST_FPS)
    return float(_MOST_TICKS)


class Mp4File:
    """Writes frames of one size to a file.

    Args:
        partial: the name to write to.
        path: the name that the file will have, for messages.
        fps: frames a second of the file, if frames come without times.
        size_hw: size of all its frames, even.

    Attributes:
        frames: written so far.

    Raises:
        OutputError: no available codec accepts such frames, or the file cannot be made.
    """

    def __init__(self, partial: Path, path: Path, fps: float, size_hw: tuple[int, int]) -> None:
        self.partial = partial
        self.size_hw = size_hw
        self.frames = 0
        self._path = path
        self._fps = codec_fps(fps)
        self._times_s: list[float] = []
        self._writer = self._open()

    def write(self, frame_bgr: Frame, time_s: float | None = None) -> None:
        """Appends a frame of the file's size. If the last line or column is missing, the one before it is repeated.

        Args:
            frame_bgr: uint8 [H, W, 3].
            time_s: display time in seconds from any fixed moment; either all frames have one or none.
        """
        height, width = self.size_hw
        below, right = height - frame_bgr.shape[0], width - frame_bgr.shape[1]
        if below or right:
            frame_bgr = cv2.copyMakeBorder(frame_bgr, 0, below, 0, right, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        self._writer.write(frame_bgr)
        self.frames += 1
        if time_s is not None:
            self._times_s.append(time_s)

    def end(self, kept: str) -> None:
        """Ends the file, counts its frames and sets their times. The encoder does not report a full disk.

        Args:
            kept: what is kept if it is not whole, for the message.

        Raises:
            OutputError: fewer frames are on the disk than were written.
            OSError: their times cannot be written.
        """
        self._writer.release()
        with native_name(self.partial) as name:
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            try:
                on_disk = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
            finally:
                capture.release()
        if on_disk != self.frames:
            raise OutputError(
                f"{self._path} is not whole ({on_disk} of {self.frames} frames reached the disk; is it full?); {kept}"
            )
        if len(self._times_s) == self.frames and not self._is_even():
            set_times(self.partial, self._times_s)

    def abandon(self) -> None:
        """Closes the file as it is."""
        self._writer.release()

    def _is_even(self) -> bool:
        """True if the frames' times fit a constant rate."""
        first_s = self._times_s[0]
        return all(
            abs(time_s - first_s - number / self._fps) <= _EVEN_S
            for number, time_s in enumerate(self._times_s)
        )

    def _open(self) -> Any:
        """Opens the first available codec that accepts the size."""
        height, width = self.size_hw
        able = [codec for codec in _CODECS if max(self.size_hw) <= codec[2]]
        if not able:
            name, most = _CODECS[-1][1:]
            raise OutputError(
                f"{self._path}: frames of {width} x {height} pixels are larger than any codec of MP4 takes here;"
                f" {name} takes {most} a side: save masks, or a recording, instead"
            )
        try:
            self.partial.touch()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        for fourcc, name, _ in able:
            with native_name(self.partial) as native:
                writer = cv2.VideoWriter(
                    native, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), self._fps, (width, height)
                )
            if writer.isOpened():
                if fourcc != _CODECS[0][0]:
                    self._tell(name, len(able) == len(_CODECS))
                return writer
            writer.release()
        discard(self.partial)
        names = " nor ".join(name for _, name, _ in able)
        raise OutputError(
            f"OpenCV cannot begin {self._path}: its build has no encoder for {names}, or the disk is full;"
            " edgeseg doctor says what it has"
        )

    def _tell(self, name: str, lacks_usual: bool) -> None:
        usual, most = _CODECS[0][1:]
        height, width = self.size_hw
        why = (
            f"OpenCV's build has no {usual} encoder" if lacks_usual else f"{usual} holds {most} pixels a side"
        )
        log.warning(
            "%s is written as %s: its frames are of %d x %d pixels, and %s", self._path, name, width, height, why,
            extra={"event": "codec", "fields": {"file": str(self._path), "codec": name}},
        )  # fmt: skip


class VideoPace:
    """Counts the copies of each overlay, so that a video plays as fast as its frames were captured.

    Args:
        fps: of the video.
        in_real_time: repeat and leave out overlays; otherwise each comes once.
    """

    def __init__(self, fps: float, in_real_time: bool) -> None:
        self._fps = codec_fps(fps)
        self._in_real_time = in_real_time
        self._first_at: float | None = None
        self._written = 0

    def copies(self, output: Output) -> int:
        """The number of times to write an output's overlay now. A long pause is shortened."""
        if not self._in_real_time:
            return 1
        # A beat has no frame of its own: its time is the moment when the lack of a frame was known.
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
