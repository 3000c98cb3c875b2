"""The contract of post-processors, which work on each result before the sinks get it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..core.arrays import Frame
from .result import Segmentation


class PostProcessor(ABC):
    """Works on each result of one stream, in the order of its frames, in the decode thread.

    It also gets the results that are not valid, so that it knows of every gap. An error that it raises costs the frame,
    as a failed inference does.

    Attributes:
        name: for display.
    """

    name: str

    @abstractmethod
    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        """Returns the result with a finding, or with another class map, by ``dataclasses.replace``.

        Args:
            frame_bgr: uint8 [H, W, 3], which it may not change.
            result: of this frame, valid or not. A result that is not valid has to stay so.
        """
