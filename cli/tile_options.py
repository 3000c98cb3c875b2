"""The command line's options for tiling: one large image, tile by tile."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..apps.tiling.request import TileRequest
from ..core.errors import UsageError
from ..core.sizes import parse_size

_NETWORK = "network"
_LARGEST_PX = 16384
"""A tile is held in memory as a whole; this one takes 805 MB."""
_OF_A_STREAM = (
    "save", "masks", "show", "frames", "trace", "events", "shm", "record", "preview", "deadline_ms", "degrade",
    "land", "free_space", "stabilise", "mavlink", "ros2",
)  # fmt: skip
"""Options of results that come one after another."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of tiling to those of ``edgeseg run``."""
    group = parser.add_argument_group("one large image, tile by tile")
    group.add_argument(
        "--tile",
        nargs="?",
        const=_NETWORK,
        metavar="N",
        help="the tile's longer side in pixels of the image, or HEIGHTxWIDTH; alone: the network's input",
    )
    group.add_argument(
        "--overlap",
        type=int,
        metavar="N",
        help="pixels that tiles share; default: an eighth of their shorter side",
    )
    group.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the class map: a GeoTIFF of a TIFF, else a palette PNG; default: NAME-classes.tif or .png",
    )


def tile_request(args: argparse.Namespace) -> TileRequest | None:
    """Reads the options; None if tiling is not requested.

    Raises:
        UsageError: the options cannot be combined.
    """
    if args.tile is None:
        for name in ("overlap", "out"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} goes with --tile alone; give --tile too, or leave it out")
        return None
    for name in _OF_A_STREAM:
        if getattr(args, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does not go with --tile, which reads one image and writes one class map, --out"
            )
    if args.source is None:
        raise UsageError("--tile takes one image: name it with --source")
    if len(args.source) > 1:
        raise UsageError(f"--tile takes one image; got {len(args.source)} times --source")
    return TileRequest(
        source=args.source[0],
        tile_px=_tile_px(args.tile),
        overlap_px=args.overlap,
        out=args.out,
        stats=args.stats,
        force=args.force,
        log_json=args.log_json,
    )


def _tile_px(text: str) -> int | tuple[int, int] | None:
    if text == _NETWORK:
        return None
    if text.isdigit():
        if not 1 <= int(text) <= _LARGEST_PX:
            raise UsageError(f"--tile {text}: expected 1 to {_LARGEST_PX}, the tile's longer side in pixels")
        return int(text)
    if "x" not in text.lower():
        raise UsageError(
            f"--tile {text}: expected the longer side in pixels, such as 1024, or HEIGHTxWIDTH, such as 768x1024"
        )
    size_hw = parse_size(text)
    if max(size_hw) > _LARGEST_PX:
        raise UsageError(f"--tile {text}: expected sides of at most {_LARGEST_PX} pixels")
    return size_hw
