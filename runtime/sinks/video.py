"""The overlay as an MP4 video: one file, or a series of segments."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import cv2
import numpy as np

from ...core.arrays import Frame
from ...core.errors import OutputError
from ...core.outputs import discard, prepare_output
from .base import Output, Sink
from .disk import check_room
from .mp4 import Mp4File, VideoPace, codec_fps, even_size
from .series import Series

log = logging.getLogger(__name__)

_SECONDS_PER_SPACE_CHECK = 1.0
_ROUNDING_S = 1e-3


def _check_name(path: Path) -> None:
    if path.suffix.lower() != ".mp4":
        raise OutputError(f"{path} does not end in .mp4, the form that videos are written in")


class VideoSink(Sink):
    """Writes overlays to an MP4 file, which gets its name once it is whole.

    The first frame sets the video's size. Frames of another size are fitted into it with black bars, because the
    video writer would drop them without an error. The last line or column of an odd side is repeated, because the
    codec needs even sides. Frames of a source video keep that video's times.

    Args:
        path: of the video, ``.mp4``.
        fps: frames a second of the video.
        in_real_time: repeat frames so that the video plays as fast as the frames were captured, however many a live
            source dropped. Otherwise each frame comes once, at its time in the source video if it has one.
        force: whether it may replace a file.

    Raises:
        OutputError: the name does not end in ``.mp4``, the file exists, or its folder cannot be written.
    """

    beats = True  # for a source video, a beat marks missing frames

    def __init__(self, path: Path, fps: float, in_real_time: bool = False, force: bool = False) -> None:
        _check_name(path)
        self.name = f"video {path}"
        self._in_real_time = in_real_time
        self._path = path
        self._partial = prepare_output(path, force)
        self._fps = fps
        self._pace = VideoPace(fps, in_real_time)
        self._file: Mp4File | None = None
        self._whole = False
        self._checked_at = -_SECONDS_PER_SPACE_CHECK

    @property
    def kept_as(self) -> str:
        """The file; empty if no frame came."""
        return self.name if self._whole else ""

    def write(self, output: Output) -> None:
        """Appends an overlay.

        Raises:
            OutputError: the video cannot be begun, or the disk is nearly full.
        """
        if self._file is None and output.beat:
            return  # no frame has come: there is no image to strike through, nor a size for it
        if self._file is None:
            self._file = Mp4File(self._partial, self._path, self._fps, even_size(output.overlay_bgr))
        now = time.monotonic()
        if now - self._checked_at >= _SECONDS_PER_SPACE_CHECK:
            self._checked_at = now
            check_room(self._partial.parent, self._path, "nothing was kept")
        fitted = _fit(output.overlay_bgr, self._file.size_hw)
        for _ in range(self._pace.copies(output)):
            self._file.write(fitted, None if self._in_real_time else output.time_s)

    def close(self, commit: bool) -> None:
        """Ends the video, counts its frames and gives it its name.

        Raises:
            OutputError: no frame came from a source that is not live, or fewer frames are on the disk than were
                written, as when it is full.
        """
        try:
            if not commit:
                if self._file is not None:
                    self._file.abandon()
                return
            if self._file is None:
                if self._in_real_time:
                    return
                raise OutputError(f"no frame came, so there is no {self._path}")
            self._file.end("nothing was kept")
            os.replace(self._partial, self._path)
            self._whole = True
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        finally:
            discard(self._partial)


class SegmentedVideoSink(Sink):
    """Writes overlays to a series of MP4 files, so that a power cut loses at most the last.

    Each file gets its name once it is whole and on the disk. Numbers continue after a restart. Half-written files of a
    killed run are removed. A frame of another size begins a new file.

    Args:
        path: without the numbers: ``film.mp4`` gives ``film-000001.mp4`` and on.
        fps: frames a second of each file.
        segment_seconds: length of each file.
        in_real_time: as for :class:`VideoSink`.
        most_bytes: of the series, with files of earlier runs; the oldest are removed first. None for no limit.

    Raises:
        OutputError: the name does not end in ``.mp4``, or its folder cannot be written.
    """

    beats = True

    def __init__(
        self,
        path: Path,
        fps: float,
        segment_seconds: float,
        in_real_time: bool = False,
        most_bytes: int | None = None,
    ) -> None:
        _check_name(path)
        self.name = f"video {path}"
        self._in_real_time = in_real_time
        self._path = path
        self._fps = fps
        self._seconds, self._most_frames = segment_seconds, max(1, round(segment_seconds * codec_fps(fps)))
        self._began_s = 0.0
        self._pace = VideoPace(fps, in_real_time)
        self._series = Series(path, most_bytes)
        self._file: Mp4File | None = None
        self._written: list[Path] = []
        self._checked_at = -_SECONDS_PER_SPACE_CHECK

    @property
    def kept_as(self) -> str:
        """The first and the last existing file of this run; empty if there is none."""
        there = [path for path in self._written if path.exists()]
        if not there:
            return ""
        return f"video {there[0]}" + (f" to {there[-1].name}" if len(there) > 1 else "")

    def write(self, output: Output) -> None:
        """Appends an overlay, in a new file if the last is long enough or has another size.

        Raises:
            OutputError: the disk is nearly full or fails. Earlier files stay.
        """
        if output.beat and self._file is None and not self._written:
            return  # no frame has come: there is no image to strike through, nor a size for it
        try:
            self._check_room()
            overlay_bgr = output.overlay_bgr
            time_s = None if self._in_real_time else output.time_s
            for _ in range(self._pace.copies(output)):
                if self._file is not None and self._is_full(self._file, overlay_bgr, time_s):
                    self._end_segment()
                if self._file is None:
                    self._file = Mp4File(self._series.begin(), self._path, self._fps, even_size(overlay_bgr))
                    self._began_s = time_s or 0.0
                self._file.write(_fit(overlay_bgr, self._file.size_hw), time_s)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def close(self, commit: bool) -> None:
        """Ends the last file. If it is whole it is kept, even if the run failed: it shows how the run failed.

        Raises:
            OutputError: the last file is not whole, as when the disk is full. The others stay.
        """
        try:
            self._end_segment()
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def _is_full(self, file: Mp4File, next_bgr: Frame, time_s: float | None) -> bool:
        most_bytes = self._series.segment_bytes
        if time_s is None:
            is_long = file.frames >= self._most_frames
        else:
            is_long = time_s - self._began_s >= self._seconds - _ROUNDING_S
        return (
            is_long
            or file.size_hw != even_size(next_bgr)
            or (most_bytes is not None and _size_of(file.partial) >= most_bytes)
        )

    def _check_room(self) -> None:
        now = time.monotonic()
        if now - self._checked_at < _SECONDS_PER_SPACE_CHECK:
            return
        self._checked_at = now
        if self._file is not None:
            self._series.make_room(_size_of(self._file.partial))
        check_room(self._path.parent, self._path, "recording stopped, and the segments until now are kept")

    def _end_segment(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.end("the segments before it are kept")
            path = self._series.finish(file.partial)
            self._written.append(path)
        finally:
            discard(file.partial)
        log.debug(
            "%s is whole",
            path,
            extra={"event": "segment-written", "fields": {"file": str(path), "frames": file.frames}},
        )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fit(frame_bgr: Frame, size_hw: tuple[int, int]) -> Frame:
    """Scales a frame of another size into the size, between black bars."""
    height, width = size_hw
    if even_size(frame_bgr) == size_hw:
        return frame_bgr
    scale = min(height / frame_bgr.shape[0], width / frame_bgr.shape[1])
    fitted_h, fitted_w = (max(1, round(side * scale)) for side in frame_bgr.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - fitted_h) // 2, (width - fitted_w) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + fitted_h, left : left + fitted_w] = cv2.resize(
        frame_bgr, (fitted_w, fitted_h), interpolation=interpolation
    )
    return canvas
