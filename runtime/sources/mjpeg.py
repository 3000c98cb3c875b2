"""Motion JPEG over HTTP, read by ourselves: what came whole, what did not, and when."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from .. import clock
from ..errors import SourceError
from ..reasons import CORRUPT
from . import jpeg
from .base import Source
from .http_body import HttpBody
from .limits import MOST_PIXELS
from .live import Interrupted, Interruption, LiveOptions
from .multipart import MultipartParser, Part
from .uri import SourceUri

_DRAIN_SECONDS = 0.05
"""How long frames that wait in the network's buffers are skipped for newer ones, where the server never pauses."""


class MjpegSource(Source):
    """An ``http(s)://`` stream of JPEG pictures. What waits in the network's buffers is skipped for the newest.

    A picture without its end has the fault ``corrupt``; what of it can be decoded is given, or black.

    Args:
        uri: parsed.
        options: the deadlines.
        interruption: ends waits.

    Raises:
        SourceError: the server is not there, refuses, or sends something else.
    """

    live = True

    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None:
        self.name = uri.public_name
        self._interruption, self._read_timeout_s = interruption, options.read_timeout_s
        self._body = HttpBody(uri.rest, uri.options, options.open_timeout_s, interruption)
        kind = self._body.headers.get_content_type()
        boundary = self._body.headers.get_param("boundary")
        if kind != "multipart/x-mixed-replace" or not isinstance(boundary, str) or not boundary.strip():
            self._body.close()
            raise SourceError(
                f"{self.name} sends {kind}; expected an MJPEG stream, which is multipart/x-mixed-replace with a"
                " boundary"
            )
        self._parser = MultipartParser(boundary)
        self._failure: SourceError | None = None
        self._shape: tuple[int, ...] | None = None

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The newest frame, uint8 [H, W, 3] BGR; None once interrupted.

        Raises:
            SourceError: none came in time, or the connection ended.
        """
        until = time.monotonic() + self._read_timeout_s
        try:
            while True:
                part = self._newest(until)
                frame = self._decode(part)
                if frame is not None:
                    self.frame_at = part.at
                    return frame
                if time.monotonic() > until:
                    raise SourceError(f"{self.name} sends no pictures that can be decoded")
        except Interrupted:
            return None

    def interrupt(self) -> None:
        """Lets a waiting :meth:`read` return None soon."""
        self._interruption.set()

    def close(self) -> None:
        """Ends the connection."""
        self._body.close()

    def _newest(self, until: float) -> Part:
        """Waits for a part, then takes all that are there already and keeps the newest."""
        parts: list[Part] = []
        drain_until = 0.0
        while self._failure is None:
            try:
                data = self._body.read(0.0 if parts else until)
                now = time.monotonic()
                if data is None:
                    break
                if not data or self._parser.ended:
                    raise SourceError("the server ended the stream")
                parts += self._parser.feed(data, clock.now())
            except SourceError as error:
                # It is told after the last good frame.
                self._failure = error
                break
            if parts:
                drain_until = drain_until or now + _DRAIN_SECONDS
            if now > (drain_until or until):
                break
        if parts:
            self.dropped += len(parts) - 1
            return parts[-1]
        raise self._failure or SourceError(f"no whole frame came within {self._read_timeout_s:g} s")

    def _decode(self, part: Part) -> npt.NDArray[np.uint8] | None:
        claimed = jpeg.size_hw(part.data)
        if claimed is not None and claimed[0] * claimed[1] > MOST_PIXELS:
            raise SourceError(
                f"{self.name} sends a picture of {claimed[1]} x {claimed[0]} pixels, more than {MOST_PIXELS}"
            )
        whole = jpeg.find_end(part.data) > 0
        frame = None
        if claimed is not None and min(claimed) > 0:
            frame = jpeg.decode(part.data)
        self.frame_fault = "" if whole and frame is not None else CORRUPT
        if frame is None:
            # Someone must hear that a frame came and was no good; before the first good one its size is unknown.
            return None if self._shape is None else np.zeros(self._shape, np.uint8)
        self._shape = frame.shape
        return frame
