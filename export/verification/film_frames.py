"""The frames of a video for a verification: in a row, and without labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.arrays import Frame
from ...core.errors import UsageError
from ...core.labels import VOID, LabelMap
from ...runtime.sources import open_source
from .frames import LabelledFrame, LabelledFrames

_DEFAULT_FRAMES = 50
_LEAST_FRAMES, _MOST_FRAMES = 2, 1_000_000


def is_film(source: str | None) -> bool:
    """Returns True if a source of frames is a file, and so neither the aerial world nor a camera."""
    return source is not None and os.path.isfile(source)


class FilmFrames(LabelledFrames):
    """The first frames of a video file, one after another.

    Args:
        source: the file.
        limit: the largest number; 50 if None.

    Raises:
        SourceError: it cannot be read as a video.
        UsageError: the number is less than 2.
    """

    in_sequence = True
    without_truth = (
        "a video has no labels, so there is no truth: the variants are compared with PyTorch alone"
    )

    def __init__(self, source: str, limit: int | None = None) -> None:
        limit = _DEFAULT_FRAMES if limit is None else limit
        if not _LEAST_FRAMES <= limit <= _MOST_FRAMES:
            raise UsageError(
                f"--frames is {limit}; expected {_LEAST_FRAMES} to {_MOST_FRAMES} of a video, because frames in a row"
                " are compared"
            )
        self._source = source
        self.name = Path(source).name
        self.labels = LabelMap.generic(1)
        self._count = sum(1 for _ in self._frames(limit))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[LabelledFrame]:
        for number, frame in enumerate(self._frames(self._count)):
            yield LabelledFrame(f"frame-{number:04d}", frame, np.full(frame.shape[:2], VOID, np.uint8))

    def truth_fits(self, labels: LabelMap) -> bool:
        """Returns False: there is no truth."""
        return False

    def _frames(self, limit: int) -> Iterator[Frame]:
        with open_source(self._source) as source:
            for _ in range(limit):
                frame = source.read()
                if frame is None:
                    return
                yield frame
