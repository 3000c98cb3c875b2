"""The frames for the timing of all contenders: real ones, or views of the aerial world."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from ..core.arrays import Frame
from ..core.errors import SourceError, UsageError
from ..runtime.sources import open_source

DEFAULT_FRAME = "1280x720"
COUNT = 8
_SPACING = 12
"""The step between frames of a video, because neighbours are nearly the same."""


def parse_frame(text: str) -> tuple[int, int]:
    """Reads ``WIDTHxHEIGHT``, the usual order for cameras and videos, such as ``1280x720``.

    Returns:
        Height and width.

    Raises:
        UsageError: the text has another form, or a side is not between 16 and 16384 pixels.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None or not all(16 <= int(side) <= 16384 for side in match.groups()):
        raise UsageError(
            f"--frame {text}: expected WIDTHxHEIGHT of 16 to 16384 pixels, such as {DEFAULT_FRAME}"
        )
    return int(match[2]), int(match[1])


def read_frames(source: str | None, size_hw: tuple[int, int] | None, count: int = COUNT) -> tuple[Frame, str]:
    """Reads up to ``count`` frames.

    Args:
        source: as for ``edgeseg run --source``, but not a camera; the aerial world if None.
        size_hw: the size of the resized frames; if None their own size, or 720 x 1280 for the aerial world.
        count: the largest number; a short video or a small folder gives fewer.

    Returns:
        uint8 [n, H, W, 3], and their origin.

    Raises:
        SourceError: the source cannot be opened or read, or is a camera.
        UsageError: the frames differ in size, and no size is given.
    """
    height, width = size_hw or parse_frame(DEFAULT_FRAME)
    uri = f"aerial:7?size={height}x{width}&fps=25" if source is None else source
    frames: list[Frame] = []
    with open_source(uri) as opened:
        if opened.live:
            raise SourceError(f"--source {uri} is a camera: it gives other frames in each run; give a file")
        number = 0
        while len(frames) < count and (frame := opened.read()) is not None:
            # Images have names, and are not neighbours in time.
            if getattr(opened, "frame_name", "") or number % _SPACING == 0:
                if size_hw is not None and frame.shape[:2] != size_hw:
                    frame = np.asarray(
                        cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8
                    )
                frames.append(frame)
            number += 1
    sizes = {frame.shape for frame in frames}
    if len(sizes) > 1:
        raise UsageError(
            f"the images in {uri} are of {len(sizes)} sizes; give --frame, such as --frame {DEFAULT_FRAME}"
        )
    name = uri.partition("?")[0]
    return np.stack(frames), name if source is None else "/".join(Path(name).parts[-2:])
