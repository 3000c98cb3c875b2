"""Runs a network over one image of any size, tile by tile."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.callbacks import OnMessage
from ...core.printable import printable, printable_lines
from .request import TileRequest

if TYPE_CHECKING:
    from ...runtime.segmenter import Segmenter

log = logging.getLogger(__name__)


def run_tiled(request: TileRequest, segmenter: Segmenter, on_message: OnMessage) -> int:
    """Segments one image; returns 0.

    Args:
        request: the image, its tiles and its outputs.
        segmenter: the network; it stays open.
        on_message: prints a line if a result differs from the request.

    Raises:
        EdgesegError: an option, the image or an output cannot work.
    """
    from ...core.outputs import check_output, prepare_output, write_atomically
    from ...core.reads import Reads
    from ...runtime.sources.files import add_sources
    from ..console import StatusLine, head_line, head_of
    from .plan import Tiling
    from .segment import segment_image
    from .sources import open_image
    from .targets import class_map_suffixes, open_class_map

    source, stats, force = request.source, request.stats, request.force
    tiling = Tiling.of(segmenter.bundle, request.tile_px, request.overlap_px)
    if stats is not None:
        prepare_output(stats, force)
    status = StatusLine(live=not request.log_json, paced=True)
    with open_image(source, tiling.tile_hw) as image:
        out = request.out or Path(f"{Path(source).stem}-classes{class_map_suffixes(image)[0]}")
        check_output(out, reads=add_sources(Reads(), [source]))
        with open_class_map(out, image, segmenter.labels, force) as class_map:
            segmenter.warmup()
            try:
                report = segment_image(
                    segmenter,
                    image,
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
        "source": source,
        "tile_hw": list(tiling.tile_hw),
        "overlap_hw": list(tiling.overlap_hw),
        **report.summary(segmenter.labels),
        "peak_memory_mib": _peak_memory_mib(),
    }
    if report.not_finite_tiles:
        on_message(f"{report.not_finite_tiles} tiles gave logits that are not finite; their pixels are void")
    written = [f"class map {out}"]
    if stats is not None:
        write_atomically(stats, (json.dumps(measured, indent=2) + "\n").encode(), force)
        written.append(f"statistics {stats}")
    if request.log_json:
        tiles, seconds = measured["tiles"], measured["seconds"]
        log.info("%d tiles in %.1f s", tiles, seconds, extra={"event": "report", "fields": measured})
        log.info("wrote %s", ", ".join(written), extra={"event": "wrote", "fields": {"outputs": written}})
        return 0
    print(head_line(segmenter))
    print(printable_lines(_table(measured)) + "\n")
    for each in written:
        print(f"wrote {printable(each)}")
    return 0


def _table(measured: Mapping[str, Any]) -> str:
    from ..console import class_table

    def of(name: str) -> str:
        return " x ".join(str(side) for side in measured[name])

    rows = {
        "image": f"{measured['source']}, {of('size_hw')}, {measured['pixels'] / 1e6:.1f} megapixels",
        "tiles": f"{measured['tiles']} of {of('tile_hw')}, overlap {of('overlap_hw')}",
        "not inferred": f"{measured['empty_tiles']} tiles without data",
        "not finite": f"{measured['not_finite_tiles']} tiles",
        "rate": f"{measured['megapixels_per_second']:.1f} megapixels a second, {measured['seconds']:.1f} s",
        "peak memory": f"{measured['peak_memory_mib']:.0f} MiB",
    }
    shares = {**measured["class_share"], "void": measured["void_share"]}
    return "\n".join([*(f"{name:18}{text}" for name, text in rows.items()), *class_table(shares)])


def _peak_memory_mib() -> float:
    """The most memory that this process has used. ``getrusage`` may report that of the process before it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024
