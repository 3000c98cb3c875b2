"""The overlay as an MP4 video."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np

from ..errors import OutputError
from ..outputs import discard, prepare_output
from ..preprocess import Frame
from .base import Output, Sink

_RESERVE_BYTES = 16 << 20
_FRAMES_PER_SPACE_CHECK = 25
_LONGEST_PAUSE_SECONDS = 5


class VideoSink(Sink):
    """Writes overlays to an MP4 file, which appears under its name once it is whole.

    The first frame sets the video's size. Frames of another size are fitted into it with black bars, because the
    video writer would drop them without a word.

    Args:
        path: of the video, ``.mp4``.
        fps: frames a second that it is to play at.
        in_real_time: repeat frames so that the video plays as fast as the frames were captured, however many a live
            source dropped. Otherwise each frame comes once.
        force: whether it may replace a file.

    Raises:
        OutputError: the name does not end in ``.mp4``, the file exists, or its folder cannot be written.
    """

    def __init__(self, path: Path, fps: float, in_real_time: bool = False, force: bool = False) -> None:
        if path.suffix.lower() != ".mp4":
            raise OutputError(f"{path} does not end in .mp4, the form that videos are written in")
        if path.is_dir():
            raise OutputError(f"{path} is a folder; give the video another name")
        self.name = f"video {path}"
        self._path = path
        self._partial = prepare_output(path, force)
        self._fps = fps
        self._size_hw = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._in_real_time = in_real_time
        self._first_at = 0.0
        self._frames = self._next_space_check = 0

    def write(self, output: Output) -> None:
        """Appends an overlay.

        Raises:
            OutputError: the video cannot be begun, or the disk is nearly full.
        """
        if self._writer is None:
            self._writer = self._open(output.overlay_bgr)
            self._first_at = output.result.captured_at
        if self._frames >= self._next_space_check:
            self._next_space_check += _FRAMES_PER_SPACE_CHECK
            free_bytes = shutil.disk_usage(self._partial.parent).free
            if free_bytes < _RESERVE_BYTES:
                raise OutputError(
                    f"the disk of {self._path} is full ({free_bytes >> 20} MiB left); nothing was kept"
                )
        fitted = _fit(output.overlay_bgr, self._size_hw)
        for _ in range(self._copies(output.result.captured_at)):
            self._writer.write(fitted)
            self._frames += 1

    def close(self, commit: bool) -> None:
        """Ends the video, counts its frames and gives it its name.

        Raises:
            OutputError: no frame came, or fewer are on the disk than were written, as when it is full.
        """
        if self._writer is not None:
            self._writer.release()
        try:
            if commit:
                self._check_whole()
                os.replace(self._partial, self._path)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        finally:
            discard(self._partial)

    def _copies(self, captured_at: float) -> int:
        if not self._in_real_time:
            return 1
        due = round((captured_at - self._first_at) * self._fps) + 1
        return min(max(0, due - self._frames), round(_LONGEST_PAUSE_SECONDS * self._fps))

    def _open(self, first_bgr: Frame) -> cv2.VideoWriter:
        # The codec's chroma is half as fine, so sides must be even.
        self._size_hw = (max(2, first_bgr.shape[0] & ~1), max(2, first_bgr.shape[1] & ~1))
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._partial), fourcc, self._fps, self._size_hw[::-1])
        if not writer.isOpened():
            raise OutputError(
                f"OpenCV cannot write {self._path}: its build lacks the MPEG-4 encoder, or the disk is full"
            )
        return writer

    def _check_whole(self) -> None:
        if self._frames == 0:
            raise OutputError(f"no frame came, so there is no {self._path}")
        capture = cv2.VideoCapture(str(self._partial))
        try:
            on_disk = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        finally:
            capture.release()
        if on_disk != self._frames:
            raise OutputError(
                f"{self._path} is not whole ({on_disk} of {self._frames} frames reached the disk; is it full?);"
                " nothing was kept"
            )


def _fit(frame_bgr: Frame, size_hw: tuple[int, int]) -> Frame:
    """Crops the odd last line of a side away, or scales the frame into the size between black bars."""
    height, width = size_hw
    if (frame_bgr.shape[0] & ~1, frame_bgr.shape[1] & ~1) == size_hw:
        return frame_bgr[:height, :width]
    scale = min(height / frame_bgr.shape[0], width / frame_bgr.shape[1])
    fitted_h, fitted_w = (max(1, round(side * scale)) for side in frame_bgr.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - fitted_h) // 2, (width - fitted_w) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + fitted_h, left : left + fitted_w] = cv2.resize(
        frame_bgr, (fitted_w, fitted_h), interpolation=interpolation
    )
    return canvas
