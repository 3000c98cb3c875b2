"""The request to segment an image tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TileRequest:
    """One image, its tiles, and what is written of it.

    Attributes:
        source: the image.
        tile_px: the tile's longer side in pixels of the image, or (H, W); None for the network's input.
        overlap_px: pixels that tiles share; None for an eighth of their shorter side.
        out: the class map; None for a name made from the image's.
        stats: a file for the measurements; None for none.
        force: whether outputs may replace others.
        log_json: whether all messages are JSON log records.
    """

    source: str
    tile_px: int | tuple[int, int] | None = None
    overlap_px: int | None = None
    out: Path | None = None
    stats: Path | None = None
    force: bool = False
    log_json: bool = False
