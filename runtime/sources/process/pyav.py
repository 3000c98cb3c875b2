"""RTSP through PyAV, which runs in the child. It sees each frame's own size and damage, which OpenCV hides."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ....core.arrays import Frame
from ....core.images.bounds import most_live_pixels
from ...clock import now
from ...reasons import CORRUPT
from ..arrivals import Load
from ..lag import Lag, skip_backlog
from .capture import Capture, CaptureError, Grabbed


class AvCapture(Capture):
    """An RTSP stream.

    Args:
        spec: ``name``, ``url``, ``options`` of FFmpeg, ``open_timeout_s``, ``read_timeout_s``.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._name = str(spec["name"])
        av = importlib.import_module("av")
        self._errors = av.error
        deadlines = (float(spec["open_timeout_s"]), float(spec["read_timeout_s"]))
        try:
            self._container: Any = av.open(spec["url"], options=dict(spec["options"]), timeout=deadlines)
        except av.error.FFmpegError as error:
            raise CaptureError(f"{self._name} does not open: {error.strerror}") from error
        if not self._container.streams.video:
            raise CaptureError(f"{self._name} has no video")
        self._stream = self._container.streams.video[0]
        # One thread per frame would delay the output by as many frames as there are threads.
        self._stream.thread_type = "SLICE"
        # It must be set before the decoder allocates frames.
        self._stream.codec_context.options = {"max_pixels": str(most_live_pixels())}
        rate = self._stream.guessed_rate
        self.fps = float(rate) if rate and 0 < rate < 1000 else None
        self._lag, self._load = Lag(), Load()
        self._damaged = False
        self._frames = self._decoded()
        self._pending: Grabbed | None = skip_backlog(self._next, self.fps)

    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame."""
        grabbed, self._pending = self._pending, None
        return grabbed or self._next()

    def close(self) -> None:
        """Ends the connection."""
        self._container.close()

    def _next(self) -> Grabbed:
        try:
            frame = next(self._frames, None)
        except self._errors.FFmpegError as error:
            raise CaptureError(f"{self._name} gives no frames any more: {error.strerror}") from error
        if frame is None:
            raise CaptureError(f"{self._name} ended its stream")
        at = self._lag.captured_at(now(), frame.time, self._load.slack)
        damaged, self._damaged = self._damaged or frame.is_corrupt, False
        return Grabbed(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), at, CORRUPT if damaged else "")

    def _decoded(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            self._damaged = self._damaged or packet.is_corrupt
            self._load.add(now(), packet.size)
            try:
                yield from packet.decode()
            except self._errors.InvalidDataError:
                # The decoder goes on with the next packet, but later frames may depend on the lost one.
                self._damaged = True
