"""The heartbeat: tells outputs at a fixed rate how the run is doing, with or without frames."""

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
from .streams import Channel

log = logging.getLogger(__name__)

_SIZE_BEFORE_THE_FIRST_FRAME_HW = (360, 480)


class Heartbeat:
    """Gives sinks the run's status at a fixed rate.

    On each beat, every sink gets the status. If the newest result of a live source is no longer valid, the sinks of
    that source also get a result that is not valid.

    Args:
        channels: the run's streams.
        status: makes the status; may raise an error that ends the run.
        overlay: draws results that are not valid.
        classes: the number of classes.
        hz: beats a second.
        on_beat: called with each status.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        status: Callable[[], Status],
        overlay: Overlay,
        classes: int,
        hz: float,
        on_beat: Callable[[Status], None],
    ) -> None:
        self._channels, self._status, self._overlay, self._on_beat = channels, status, overlay, on_beat
        self._classes, self._seconds = classes, 1 / hz
        self._delivered = [0 for _ in channels]
        self._blank: dict[int, Frame] = {}

    def run(self, wait: Callable[[float], bool]) -> None:
        """Beats until ``wait`` returns True. It waits for the given seconds, or until the run ends."""
        next_at = time.monotonic() + self._seconds
        while not wait(max(0.0, next_at - time.monotonic())):
            next_at = max(next_at + self._seconds, time.monotonic())
            try:
                self.beat()
            except MemoryError:  # the next beat may find enough memory
                log.warning("no memory to say how the run is doing", extra={"event": "out-of-memory"})

    def beat(self) -> None:
        """Does one beat."""
        status = self._status()
        for number, (channel, source) in enumerate(zip(self._channels, status.sources, strict=True)):
            # The sinks already have a result that came since the last beat.
            fresh, self._delivered[number] = channel.delivered > self._delivered[number], channel.delivered
            output = None
            if channel.live and not source.valid and not fresh:
                output = self._nothing_new(channel, source.reason)
            for worker in channel.workers:
                worker.beat(output, status)
        self._on_beat(status)

    def _nothing_new(self, channel: Channel, reason: str) -> Output:
        at = now()
        newest, frame_bgr = channel.validity.newest, channel.newest_bgr
        if frame_bgr is None:
            frame_bgr = self._blank.setdefault(
                channel.number, np.zeros((*_SIZE_BEFORE_THE_FIRST_FRAME_HW, 3), np.uint8)
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
        return Output(frame_bgr, result, "", draw, channel.number, shares, beat=True, finished_at=at)
