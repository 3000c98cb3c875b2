"""The beats, which sinks get where there is no new frame: at a fixed rate, and for the gaps of a video."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ...core.arrays import Frame
from ..clock import now
from ..overlay import Overlay
from ..reasons import FRAMES_MISSING
from ..result import Segmentation
from ..sinks.base import Output
from ..status import Status
from .options import Conditions
from .streams import Captured, Channel

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
        run: what the parts of the run share.
    """

    def __init__(
        self, channels: Sequence[Channel], status: Callable[[], Status], overlay: Overlay, run: Conditions
    ) -> None:
        self._channels, self._status, self._overlay, self._run = channels, status, overlay, run
        self._seconds = 1 / run.limits.heartbeat_hz
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
                log.warning("no memory to report the state of the run", extra={"event": "out-of-memory"})

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
        self._run.options.on_beat(status)

    def _nothing_new(self, channel: Channel, reason: str) -> Output:
        at = now()
        newest, frame_bgr = channel.validity.newest, channel.newest_bgr
        if frame_bgr is None:
            frame_bgr = self._blank.setdefault(
                channel.number, np.zeros((*_SIZE_BEFORE_THE_FIRST_FRAME_HW, 3), np.uint8)
            )
        frame_id, captured_at = (0, at) if newest is None else (newest.frame_id, newest.captured_at)
        result = Segmentation.without_classes(frame_bgr, frame_id, captured_at, reason)
        if newest is not None:
            result = replace(result, findings=newest.withdrawn_findings())
        shares = np.zeros(len(self._run.labels), np.float64)
        text = f"for {at - result.captured_at:.1f} s"
        draw = partial(self._overlay.draw, frame_bgr, result, shares, text)
        return Output(frame_bgr, result, "", draw, channel.number, shares, beat=True, finished_at=at)


def beat_of_hole(item: Captured, before: Output, overlay: Overlay) -> Output:
    """Makes an output without a frame, for the time of a gap in a video.

    It shows the frame before the gap, crossed out, because the last class map does not hold during the gap.

    Args:
        item: the frame after the gap.
        before: the output before the gap.
        overlay: draws the output.
    """
    result = replace(
        Segmentation.without_classes(before.frame_bgr, before.result.frame_id, item.at, FRAMES_MISSING),
        findings=before.result.withdrawn_findings(),
    )
    shares = np.zeros_like(before.shares)
    draw = partial(overlay.draw, before.frame_bgr, result, shares, f"{item.missing} frames")
    time_s = None
    if item.time_s is not None and before.time_s is not None:
        time_s = before.time_s + (item.time_s - before.time_s) / (item.missing + 1)
    return Output(
        before.frame_bgr,
        result,
        "",
        draw,
        before.source,
        shares,
        beat=True,
        finished_at=item.at,
        time_s=time_s,
    )
