"""The output that sinks get for a gap: a place in a video where frames are missing."""

from __future__ import annotations

from functools import partial

import numpy as np

from ...core.labels import VOID
from ..overlay import Overlay
from ..reasons import FRAMES_MISSING
from ..result import Segmentation
from ..sinks.base import Output
from .streams import Captured


def beat_of_hole(item: Captured, before: Output, overlay: Overlay) -> Output:
    """Makes an output without a frame, for the time of a gap in a video.

    It shows the frame before the gap, crossed out, because the last class map does not hold during the gap.

    Args:
        item: the frame after the gap.
        before: the output before the gap.
        overlay: draws the output.
    """
    void = np.full(before.frame_bgr.shape[:2], VOID, np.uint8)
    result = Segmentation(void, before.result.frame_id, item.at, valid=False, reason=FRAMES_MISSING)
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
