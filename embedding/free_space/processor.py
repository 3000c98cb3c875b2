"""The post-processor of free space: each frame's free space as a finding."""

from __future__ import annotations

from dataclasses import replace

from ...core.arrays import Frame
from ...runtime.postprocessor import PostProcessor
from ...runtime.result import Segmentation
from .finder import FreeSpaceFinder

FREE_SPACE = "free_space"


class FreeSpaceProcessor(PostProcessor):
    """Adds a :class:`~edgeseg.embedding.free_space.finding.FreeSpace` to each result, as its finding ``free_space``.

    It looks at the network's own class map: smoothing must not hide an obstacle.

    Args:
        finder: of one camera.
    """

    name = FREE_SPACE

    def __init__(self, finder: FreeSpaceFinder) -> None:
        self._finder = finder

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        """Returns the result with its free space, valid or not."""
        classes = result.own_classes
        space = self._finder.update(classes, result.captured_at, valid=result.valid, pose=result.pose)
        return replace(result, findings={**result.findings, FREE_SPACE: space})
