"""The request to segment an image tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TileRequest:
    """The tiles of an image, and the path of its class map.

    Attributes:
        tile_px: the tile's longer side in pixels of the image, or (H, W); None for the network's input.
        overlap_px: pixels that tiles share; None for an eighth of their shorter side.
        out: the class map; None for a name made from the image's.
    """

    tile_px: int | tuple[int, int] | None = None
    overlap_px: int | None = None
    out: Path | None = None
