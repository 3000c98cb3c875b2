"""``edgeseg run --tile``: one picture of any size, tile by tile."""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..printable import printable, printable_lines

if TYPE_CHECKING:
    from ..segmenter import Segmenter

log = logging.getLogger(__name__)

_NETWORK = "network"
_LARGEST_PX = 16384
"""A tile is held whole; this one takes 805 MB."""
_OF_A_STREAM = ("save", "masks", "show", "frames")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of tiling to those of ``edgeseg run``."""
    group = parser.add_argument_group("one large picture, tile by tile")
    group.add_argument(
        "--tile",
        nargs="?",
        const=_NETWORK,
        metavar="N",
        help="the tile's longer side in pixels of the picture, or HEIGHTxWIDTH; alone: the network's input",
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


def is_tiled(args: argparse.Namespace) -> bool:
    """Whether tiling is asked for.

    Raises:
        UsageError: the options do not go together.
    """
    if args.tile is None:
        for name in ("overlap", "out"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} goes with --tile alone; give --tile too, or leave it out")
        return False
    for name in _OF_A_STREAM:
        if getattr(args, name):
            raise UsageError(
                f"--{name} does not go with --tile, which reads one picture and writes one class map, --out"
            )
    if args.source is None:
        raise UsageError("--tile takes one picture: name it with --source")
    return True


def run_tiled(args: argparse.Namespace, segmenter: Segmenter, say: Callable[[str], None]) -> int:
    """Segments the picture ``args.source``; returns 0.

    Args:
        args: of ``edgeseg run``, for which :func:`is_tiled` holds.
        segmenter: of ``args.bundle``.
        say: is told what is not as it was asked for.

    Raises:
        EdgesegError: an option, the picture or an output cannot work.
    """
    from ..console import StatusLine, head_line, head_of
    from ..outputs import check_output, prepare_output, write_atomically
    from ..reads import Reads
    from ..sources.files import add_sources
    from .plan import Tiling
    from .segment import segment_picture
    from .sources import open_picture
    from .targets import class_map_suffixes, open_class_map

    tiling = Tiling.of(segmenter.bundle, _tile_px(args.tile), args.overlap)
    if args.stats is not None:
        prepare_output(args.stats, args.force)
    status = StatusLine(live=not args.log_json)
    with open_picture(args.source, tiling.tile_hw) as picture:
        out = args.out or Path(f"{Path(args.source).stem}-classes{class_map_suffixes(picture)[0]}")
        check_output(out, reads=add_sources(Reads(), [args.source]))
        with open_class_map(out, picture, segmenter.labels, args.force) as class_map:
            segmenter.warmup()
            try:
                report = segment_picture(
                    segmenter,
                    picture,
                    class_map,
                    tiling,
                    on_progress=lambda done, tiles: status.show(
                        lambda: f"{done} of {tiles} tiles   {done / tiles:.0%}"
                    ),
                )
            finally:
                status.clear()
    measured = {
        **head_of(segmenter),
        "source": args.source,
        "tile_hw": list(tiling.tile_hw),
        "overlap_hw": list(tiling.overlap_hw),
        **report.summary(segmenter.labels),
        "peak_memory_mib": _peak_memory_mib(),
    }
    if report.not_finite_tiles:
        say(f"{report.not_finite_tiles} tiles gave logits that are not finite; their pixels are void")
    written = [f"class map {out}"]
    if args.stats is not None:
        write_atomically(args.stats, (json.dumps(measured, indent=2) + "\n").encode(), args.force)
        written.append(f"statistics {args.stats}")
    if args.log_json:
        tiles, seconds = measured["tiles"], measured["seconds"]
        log.info("%d tiles in %.1f s", tiles, seconds, extra={"event": "report", "fields": measured})
        log.info("wrote %s", ", ".join(written), extra={"event": "wrote", "fields": {"outputs": written}})
        return 0
    print(head_line(segmenter))
    print(printable_lines(_table(measured)) + "\n")
    for each in written:
        print(f"wrote {printable(each)}")
    return 0


def _tile_px(text: str) -> int | tuple[int, int] | None:
    from ..sizes import parse_size

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


def _table(measured: Mapping[str, Any]) -> str:
    from ..console import class_table

    def of(name: str) -> str:
        return " x ".join(str(side) for side in measured[name])

    rows = {
        "picture": f"{measured['source']}, {of('size_hw')}, {measured['pixels'] / 1e6:.1f} megapixels",
        "tiles": f"{measured['tiles']} of {of('tile_hw')}, overlap {of('overlap_hw')}",
        "not inferred": f"{measured['empty_tiles']} tiles without data",
        "not finite": f"{measured['not_finite_tiles']} tiles",
        "rate": f"{measured['megapixels_per_second']:.1f} megapixels a second, {measured['seconds']:.1f} s",
        "peak memory": f"{measured['peak_memory_mib']:.0f} MiB",
    }
    shares = {**measured["class_share"], "void": measured["void_share"]}
    return "\n".join([*(f"{name:18}{text}" for name, text in rows.items()), *class_table(shares)])


def _peak_memory_mib() -> float:
    """The most memory that this process has held. What ``getrusage`` tells may be that of the process before it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024
