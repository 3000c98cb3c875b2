"""What a frame becomes on its way through a segmenter: what its steps hand on to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Prepared:
    """A frame at the network's size.

    Attributes:
        frame_nhwc: uint8 [1, h, w, 3], in memory of the segmenter's that a later frame overwrites:
            :attr:`.Segmenter.FRAMES_KEPT` frames are kept, or as many as :meth:`.Segmenter.keep_frames` asked for.
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        preprocess_ms: milliseconds that this took.
        number: how many frames had been prepared before it; None where the segmenter did not prepare it.
    """

    frame_nhwc: npt.NDArray[np.uint8]
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    preprocess_ms: float
    number: int | None = None


@dataclass(frozen=True)
class Inference:
    """What a frame has become on its way from :meth:`.Segmenter.infer` to :meth:`.Segmenter.decode`.

    The arrays may lie in the backend's own memory, which a later frame overwrites: decode, or copy.

    Attributes:
        logits: float32 [C, h, w]; None where the backend decoded and they were not asked for.
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        timings_ms: milliseconds of ``preprocess`` and ``inference``; frames that were inferred together have the same.
        classes: uint8 [H, W], where the backend decoded to the frame's size; else None.
        finite: whether all logits are, where the backend decoded; else None, and the logits tell.
        number: how often had been inferred before; None where the segmenter did not infer it.
    """

    logits: npt.NDArray[np.float32] | None
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    timings_ms: Mapping[str, float]
    classes: npt.NDArray[np.uint8] | None = None
    finite: bool | None = None
    number: int | None = None
