"""Video files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....core.errors import EdgesegError, SourceError
from ....core.source import Source
from ...forks import Owned, stays_with_this_process
from ...gate import Gate
from ...reasons import CORRUPT
from .container import Length, has_one_rate
from .film import Film, FilmError, OpenCvFilm
from .film_av import AvFilm, has_pyav
from .timeline import Placed, Timeline

log = logging.getLogger(__name__)

_SHORT = 0.05
_SLACK_FRAMES = 3
_MOST_HOLES_LOGGED = 5


def _bar(source: VideoSource, error: EdgesegError) -> None:
    source._gate.bar(error)


class VideoSource(Source):
    """Reads a video file, frame by frame, each with its number and its time in the film.

    If frames are missing in the middle, as in a badly received transport stream, the numbers after the hole continue as
    if the frames were there, and :attr:`missing` counts them. A file that was cut off is an error and not an end: users
    of its masks should know.

    OpenCV decodes it. If OpenCV's build has no decoder for it, PyAV does, if installed.

    Args:
        path: of the file.
        loop: start again at the end, for ever.

    Raises:
        SourceError: the file is not a readable video, or has no frame.
    """

    def __init__(self, path: Path, loop: bool = False) -> None:
        self.name = str(path)
        self._path, self._loop = path, loop
        self._holes = 0
        self._missing_before = 0
        self._first_number, self._first_s = 0, 0.0
        self._count = self._last_number = 0
        self._gate = Gate(self._close)
        stays_with_this_process(self, Owned(self.name, SourceError, ignores=(), in_child=_bar))
        self._film, self._timeline = self._open()
        self.fps = self._film.fps

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, uint8 [H, W, 3] BGR; None at the end.

        Raises:
            SourceError: the file was cut off.
        """
        with self._gate:
            return None if self._gate.is_shut else self._read()

    def close(self) -> None:
        """Closes the file, at once or when a :meth:`read` in another thread has ended."""
        self._gate.shut()

    def _close(self) -> None:
        self._film.close()

    def _read(self) -> npt.NDArray[np.uint8] | None:
        placed = self._timeline.next()
        if placed is None:
            self._check_is_whole()
            if self._loop and self.frame_number is not None:
                self._first_number, self._first_s = (
                    self.frame_number + 1,
                    self._first_s + self._timeline.end_s,
                )
                self._missing_before = self.missing
                self._film.close()
                self._count = self._last_number = 0
                self._film, self._timeline = self._open()
                placed = self._timeline.next()
        if placed is None:
            return None
        self._count += 1
        self._last_number = placed.number
        self.missing = self._missing_before + self._timeline.missing
        self.frame_number = self._first_number + placed.number
        self.frame_time_s = self._first_s + placed.time_s
        self.frame_fault = CORRUPT if placed.image.damaged else ""
        if placed.missing:
            self._log_hole(placed)
        return placed.image.frame

    def _open(self) -> tuple[Film, Timeline]:
        film = self._opened()
        try:
            constant = has_one_rate(self._path)
        except OSError as error:
            film.close()
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error
        return film, Timeline(film.read, film.fps, constant)

    def _opened(self) -> Film:
        try:
            return OpenCvFilm(self._path)
        except FilmError as error:
            refused = error
        if not has_pyav():
            raise SourceError(
                f"OpenCV decodes no frame of {self._path}, whose codec is {refused.codec}: its build may lack the"
                ' decoder, and PyAV has more of them: pip install "edgeseg[rtsp]"'
                if refused.codec
                else f"cannot read {self._path} as a video: it is damaged, empty or of a form OpenCV lacks; PyAV reads"
                ' more forms: pip install "edgeseg[rtsp]"'
            ) from refused
        try:
            return AvFilm(self._path)
        except FilmError as error:
            codec = refused.codec or error.codec
        raise SourceError(
            f"the video {self._path} holds no frame that can be decoded, by OpenCV or PyAV; its codec is {codec}"
            if codec
            else f"cannot read {self._path} as a video: it is damaged, empty or of a form that OpenCV and PyAV lack"
        ) from refused

    def _log_hole(self, placed: Placed) -> None:
        """Logs a hole; of many only the first, so that a bad recording does not fill the log."""
        self._holes += 1
        if self._holes > _MOST_HOLES_LOGGED:
            return
        last = self._first_number + placed.number
        log.warning(
            "%s lacks %d frames before frame %d, at %.2f s%s",
            self.name,
            placed.missing,
            last,
            self._first_s + placed.time_s,
            "; further holes are counted and not told" if self._holes == _MOST_HOLES_LOGGED else "",
            extra={
                "event": "frames-missing",
                "fields": {"source": self.name, "frames": placed.missing, "before_frame": last},
            },
        )

    def _check_is_whole(self) -> None:
        """Compares the file with its own structure: its bytes, and the number and time of its frames.

        Neither number nor time is enough by itself. If the container has no index of frames, OpenCV estimates their
        number from duration and rate, which is wrong for a variable rate; times are then right. Edit lists and streams
        that begin late shift times; numbers are then right. Good files may also lack a few frames at their ends.
        """
        claimed, numbered = self._film.claimed, self._last_number + 1
        if numbered >= claimed > 0:
            return
        try:
            length = Length.of(self._path)
        except OSError as error:
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error
        few = claimed - numbered > max(_SLACK_FRAMES, _SHORT * claimed)
        # If the file does not record the number, the claim is the length of its longest stream, maybe the
        # sound's.
        if few and self.fps is not None and not (length.whole and length.numberless):
            claimed_s, slack_s = claimed / self.fps, (_SLACK_FRAMES - 1) / self.fps
            if self._timeline.end_s < (1 - _SHORT) * claimed_s - slack_s:
                what = "is damaged" if length.whole else "is cut off"
                raise SourceError(
                    f"the video {self._path} {what}: read {self._count} frames of {claimed:.0f} that its header claims"
                )
        if length.promised is not None and length.there < length.promised:
            raise SourceError(
                f"the video {self._path} is cut off: it has {length.there} bytes of the {length.promised} that it"
                f" should have; {self._count} frames could be read"
            )
