"""The decoder of a film through PyAV, which has codecs that OpenCV's build lacks, such as AV1."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ....core.images.bounds import most_pixels
from ....core.native_name import native_name
from .film import Film, FilmError, FilmFrame

_QUARTER = 90


class AvFilm(Film):
    """Decodes through PyAV; call :func:`has_pyav` first.

    Args:
        path: of the file.

    Raises:
        FilmError: PyAV does not recognize it as a video, or gives no frame of it.
    """

    def __init__(self, path: Path) -> None:
        av = importlib.import_module("av")
        self._errors = av.error
        try:
            with native_name(path) as name:
                # Only files, so that no file makes FFmpeg use a network.
                self._container: Any = av.open(name, options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, ValueError) as error:
            raise FilmError from error
        streams = self._container.streams.video
        if not streams:
            self.close()
            raise FilmError
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        # It must be set before the decoder allocates frames.
        self._stream.codec_context.options = {"max_pixels": str(most_pixels())}
        self._damaged = False
        self._begin_s: float | None = None
        rate = self._stream.guessed_rate
        self.fps = float(rate) if rate and 0 < rate < 1000 else None
        self.claimed = float(self._stream.frames)
        self._images = self._decoded()
        self._first = next(self._images, None)
        if self._first is None:
            codec = self._stream.codec_context
            self.close()
            raise FilmError(codec.codec.canonical_name.upper() if codec is not None else "")

    def read(self) -> FilmFrame | None:
        """The next frame; None at the end."""
        image, self._first = self._first, None
        return image if image is not None else next(self._images, None)

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def _decoded(self) -> Iterator[FilmFrame]:
        time_s = 0.0
        step_s = 1 / self.fps if self.fps else 0.0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._errors.FFmpegError:
                # The decoder goes on with the next packet, but later frames may depend on the lost one.
                self._damaged = True
                continue
            for frame in frames:
                stamp_s = frame.time if frame.time is not None else time_s + step_s
                if self._begin_s is None:
                    self._begin_s = stamp_s
                time_s = stamp_s
                damaged, self._damaged = self._damaged or frame.is_corrupt, False
                frame_bgr = frame.to_ndarray(format="bgr24")
                turns = round(getattr(frame, "rotation", 0) / _QUARTER) % 4
                upright = np.ascontiguousarray(np.rot90(frame_bgr, turns)) if turns else frame_bgr
                yield FilmFrame(np.asarray(upright, np.uint8), stamp_s - self._begin_s, damaged)

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except self._errors.FFmpegError:
                return  # the file was cut off or cannot be read further
            if packet is None:
                return
            self._damaged = self._damaged or packet.is_corrupt
            yield packet


def has_pyav() -> bool:
    """Returns True if PyAV is installed."""
    return importlib.util.find_spec("av") is not None
