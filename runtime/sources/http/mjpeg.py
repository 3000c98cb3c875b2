"""Motion JPEG over HTTP, with edgeseg's own reader, which sees each image's arrival and damage."""

from __future__ import annotations

import logging
import time
from email.message import Message

import numpy as np
import numpy.typing as npt

from ....core.errors import SourceError
from ....core.images import jpeg, jpeg_decode
from ....core.images.bounds import MOST_PIXELS_A_SECOND, PixelBudget, most_live_pixels
from ....core.source import Source
from ... import clock
from ...reasons import CORRUPT, STALE
from ...recycle import ArrayPool
from ..arrivals import Arrivals
from ..lag import BACKLOG_SECONDS, Lag
from ..live import Interrupted, Interruption, LiveOptions
from ..uri import SourceUri
from .body import HttpBody
from .multipart import MultipartParser, Part
from .url import printable

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 0.05
"""The longest time to skip buffered frames for newer ones, if the server never pauses."""

_QUIET_SECONDS = 0.5
"""At the start: if nothing comes for this long, no frames were waiting."""

_PROOF_SECONDS = 0.25
"""If it is unproven for this long that nothing waits on the way, :meth:`MjpegSource.read` waits this long for one more
image."""

_NOTE_SECONDS = 3.0
_MOST_KIND_BYTES = 1024


class MjpegSource(Source):
    """An ``http(s)://`` stream of JPEG images. Those that wait in the network's buffers are skipped for the newest.

    ``frame_at`` is the time of capture by the sender's stamp, if there is one; else the latest moment of which
    :class:`Arrivals` proves that the image was not captured before. If nothing is proven yet, the frame has the fault
    ``stale``. An image without its end has the fault ``corrupt``; the frame shows the part that can be decoded, or is
    black.

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
        try:
            self._parser = MultipartParser(_boundary(self.name, self._body.headers))
        except BaseException:
            self._body.close()
            raise
        self._arrivals = Arrivals(clock.now())
        self._lag, self._coarse_lag = Lag(), Lag(resolution_s=1.0)
        self._stamped_at = 0.0
        # For waiting, in time.monotonic(): the first part, the last bytes, the last proof of an image's age.
        self._first_part_at = self._last_bytes_at = 0.0
        self._last_proof_at: float | None = None
        self._unproven_since: float | None = None
        self._noted = False
        self._failure: SourceError | None = None
        self._shape: tuple[int, ...] | None = None
        self._frames, self._budget = ArrayPool(), PixelBudget()
        self._trouble = ""

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
                    self._judge()
                    return frame
                if time.monotonic() > until:
                    raise SourceError(self._trouble)
        except Interrupted:
            return None

    def interrupt(self) -> None:
        """Makes a waiting :meth:`read` return None soon."""
        self._interruption.set()

    def close(self) -> None:
        """Ends the connection."""
        self._body.close()

    def _newest(self, until: float) -> Part:
        """Waits for a part, then reads all that are already there and keeps the newest."""
        parts: list[Part] = []
        asked, drain_until = time.monotonic(), 0.0
        while self._failure is None:
            try:
                deadline = min(until, self._wait_limit(asked)) if parts else until
                more = self._receive(deadline)
            except SourceError as error:
                # It is raised after the last good frame.
                self._failure = error
                break
            if more is None:
                break
            parts += more
            now = time.monotonic()
            if parts:
                drain_until = drain_until or now + _DRAIN_SECONDS
                self._first_part_at = self._first_part_at or now
                deadline = max(drain_until, min(until, self._wait_limit(asked)))
            else:
                deadline = until
            if now > deadline:
                break
        if parts:
            self.dropped += len(parts) - 1
            return parts[-1]
        raise self._failure or SourceError(
            self._trouble or f"no whole frame came within {self._read_timeout_s:g} s"
        )

    def _wait_limit(self, asked: float) -> float:
        """Returns the moment until which to wait for a newer part, because the newest may have waited on its way."""
        if self._arrivals.proven:
            return 0.0
        if self._last_proof_at is None:
            most = _QUIET_SECONDS if self._lag.known else BACKLOG_SECONDS
            return min(self._first_part_at + most, self._last_bytes_at + _QUIET_SECONDS)
        if not self._lag.known and self._last_bytes_at - self._last_proof_at > _PROOF_SECONDS:
            return asked + _PROOF_SECONDS
        return 0.0

    def _receive(self, until: float) -> list[Part] | None:
        """Returns the parts that the next bytes complete; None if nothing comes in time."""
        data, waited = self._body.read(0.0), False
        if data is None:
            self._arrivals.dry(clock.now(), self._parser.between)
            if time.monotonic() < until:
                data, waited = self._body.read(until), True
        now = time.monotonic()
        if data is None:
            self._arrivals.dry(clock.now(), self._parser.between)
            if (
                self._last_proof_at is None
                and self._parser.between
                and now >= self._last_bytes_at + _QUIET_SECONDS
            ):
                self._last_proof_at = now if self._arrivals.accept_first() else None
            return None
        if not data or self._parser.ended:
            raise SourceError("the server ended the stream")
        self._last_bytes_at = now
        parts = self._parser.feed(data, self._arrivals.data(clock.now(), waited))
        for part in parts:
            self._note_age(part, now)
        return parts

    def _note_age(self, part: Part, now: float) -> None:
        """Updates the age estimate with a part, even if it will be skipped; ``now`` is of ``time.monotonic()``."""
        arrivals = self._arrivals
        arrivals.part(part.at, len(part.data))
        seconds, resolution_s = (None, 0.0) if part.stamp is None else part.stamp
        fine, coarse = (None, seconds) if resolution_s else (seconds, None)
        self._stamped_at = self._lag.captured_at(part.at, fine, arrivals.slack)
        if not self._lag.known:
            self._stamped_at = self._coarse_lag.captured_at(part.at, coarse, arrivals.slack)
        if arrivals.proven:
            self._last_proof_at = now
        if arrivals.proven or self._lag.known:
            self._unproven_since = None
        elif self._unproven_since is None:
            self._unproven_since = now
        elif not self._noted and now - self._unproven_since > _NOTE_SECONDS:
            self._noted = True
            note = (
                "images come as fast as the link carries them, so that they may have waited for long; lower their"
                " rate, size or quality"
            )
            extra = {"event": "source-note", "fields": {"source": self.name, "note": note}}
            log.warning("%s: %s", self.name, note, extra=extra)

    def _judge(self) -> None:
        """Sets time and fault of the newest part from what is known of its age."""
        proven_at = self._arrivals.captured_at
        self.frame_at = self._stamped_at
        if not self._lag.known:
            if proven_at is not None:
                self.frame_at = min(self._stamped_at, proven_at)
            elif not self.frame_fault:
                self.frame_fault = STALE

    def _decode(self, part: Part) -> npt.NDArray[np.uint8] | None:
        head = jpeg.read_head(part.data)
        frame, damage = None, jpeg_decode.impossible(part.data, head) if head else "they are no JPEGs"
        if head is not None and not damage:
            self._check_bounds(part.data, head)
            try:
                into = self._frames.take((*head.size_hw, 3), np.uint8)
                frame, damage, form = jpeg_decode.decode(part.data, head, into)
            except MemoryError:  # it may be temporary
                damage, form = "there is no memory for them", ""
            if form:
                raise SourceError(f"{self.name} sends an image that {form}, which is not read")
        self.frame_fault = CORRUPT if damage else ""
        self._trouble = f"{self.name} sends no images that can be decoded: {damage}" if frame is None else ""
        if frame is None:
            # The run must get a frame to see the fault; before the first good one its size is unknown.
            return None if self._shape is None else np.zeros(self._shape, np.uint8)
        self._shape = frame.shape
        return frame

    def _check_bounds(self, data: bytes, head: jpeg.Head) -> None:
        """Refuses an image that would need too much memory or time, by its head and before it is decoded."""
        height, width = head.size_hw
        if height * width > most_live_pixels():
            raise SourceError(
                f"{self.name} sends an image of {width} x {height} pixels, more than {most_live_pixels()}"
            )
        if not self._budget.take(jpeg_decode.work_px(data, head)):
            raise SourceError(
                f"{self.name} sends more than {MOST_PIXELS_A_SECOND >> 20} megapixels a second, more than any camera"
            )


def _boundary(name: str, headers: Message) -> str:
    """Returns the boundary between the parts of a response.

    Raises:
        SourceError: it is not an MJPEG stream.
    """
    sent = headers.get("Content-Type", "nothing that says what it is")
    kind, boundary = sent, None
    if len(sent) <= _MOST_KIND_BYTES:
        try:
            kind, boundary = headers.get_content_type(), headers.get_param("boundary")
        except (ValueError, LookupError, TypeError):  # malformed parameters
            boundary = None
    if kind == "multipart/x-mixed-replace" and isinstance(boundary, str) and boundary.strip():
        return boundary
    raise SourceError(
        f"{name} sends {printable(kind, 80)}; expected an MJPEG stream, which is multipart/x-mixed-replace with a"
        " boundary"
    )
