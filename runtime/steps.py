"""The data that the steps of a segmenter pass to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PreparedFrame:
    """A frame at the network's size.

    Attributes:
        frame_nhwc: uint8 [1, h, w, 3], in the segmenter's memory, which a later frame overwrites:
            :attr:`.Segmenter.FRAMES_KEPT` frames are kept, or as many as :meth:`.Segmenter.keep_frames` asked for.
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        preprocess_ms: milliseconds of this step.
        number: number of frames prepared before it; None if the segmenter did not prepare it.
    """

    frame_nhwc: npt.NDArray[np.uint8]
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    preprocess_ms: float
    number: int | None = None


@dataclass(frozen=True)
class Inference:
    """The result of :meth:`.Segmenter.infer` for a frame, and the input of :meth:`.Segmenter.decode`.

    The arrays may be in the backend's own memory, which a later frame overwrites: decode them soon, or copy them.

    Attributes:
        logits: float32 [C, h, w]; None if the backend decoded and they were not asked for.
        frame_size_hw: height and width of the frame in pixels.
        frame_id: the frame's running number.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        timings_ms: milliseconds of ``preprocess`` and ``inference``; all frames of a batch have the same ``inference``.
        classes: uint8 [H, W], if the backend decoded to the frame's size; else None.
        finite: True if all logits are finite; None if the backend did not decode: check the logits then.
        number: number of inferences before it; None if the segmenter did not infer it.
    """

    logits: npt.NDArray[np.float32] | None
    frame_size_hw: tuple[int, int]
    frame_id: int
    captured_at: float
    timings_ms: Mapping[str, float]
    classes: npt.NDArray[np.uint8] | None = None
    finite: bool | None = None
    number: int | None = None
