"""Says at a fixed rate how the run is doing, and that a result has grown old, whether or not frames come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ...core.labels import VOID
from ..clock import now
from ..overlay import Overlay
from ..preprocess import Frame
from ..result import Segmentation
from ..sinks.base import Output
from ..status import Status
from .streams import Lane

log = logging.getLogger(__name__)

_SIZE_BEFORE_THE_FIRST_FRAME_HW = (360, 480)


class Heartbeat:
    """Beats until it is told to stop.

    On each beat every sink is told the status, and the sinks of a live source whose newest result may not be acted
    on any more are given one that says so.

    Args:
        lanes: of the run.
        status: makes the status; may raise what is to end the run.
        overlay: draws what is not valid.
        classes: how many there are.
        hz: beats a second.
        on_beat: called with each status.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        status: Callable[[], Status],
        overlay: Overlay,
        classes: int,
        hz: float,
        on_beat: Callable[[Status], None],
    ) -> None:
        self._lanes, self._status, self._overlay, self._on_beat = lanes, status, overlay, on_beat
        self._classes, self._seconds = classes, 1 / hz
        self._delivered = [0 for _ in lanes]
        self._blank: dict[int, Frame] = {}

    def run(self, wait: Callable[[float], bool]) -> None:
        """Beats until ``wait``, which waits for so many seconds, says that the end has come."""
        next_at = time.monotonic() + self._seconds
        while not wait(max(0.0, next_at - time.monotonic())):
            next_at = max(next_at + self._seconds, time.monotonic())
            try:
                self.beat()
            except MemoryError:  # the next beat may find room
                log.warning("no memory to say how the run is doing", extra={"event": "out-of-memory"})

    def beat(self) -> None:
        """Does what is done on each beat."""
        status = self._status()
        for number, (lane, source) in enumerate(zip(self._lanes, status.sources, strict=True)):
            # A result since the last beat has told the sinks itself.
            fresh, self._delivered[number] = lane.delivered > self._delivered[number], lane.delivered
            output = None
            if lane.live and not source.valid and not fresh:
                output = self._nothing_new(lane, source.reason)
            for worker in lane.workers:
                worker.beat(output, status)
        self._on_beat(status)

    def _nothing_new(self, lane: Lane, reason: str) -> Output:
        at = now()
        newest, frame_bgr = lane.validity.newest, lane.newest_bgr
        if frame_bgr is None:
            frame_bgr = self._blank.setdefault(
                lane.number, np.zeros((*_SIZE_BEFORE_THE_FIRST_FRAME_HW, 3), np.uint8)
            )
        result = Segmentation(
            np.full(frame_bgr.shape[:2], VOID, np.uint8),
            frame_id=newest.frame_id if newest is not None else 0,
            captured_at=newest.captured_at if newest is not None else at,
            valid=False,
            reason=reason,
        )
        shares = np.zeros(self._classes, np.float64)
        text = f"for {at - result.captured_at:.1f} s"
        draw = partial(self._overlay.draw, frame_bgr, result, shares, text)
        return Output(frame_bgr, result, "", draw, lane.number, shares, beat=True, finished_at=at)
