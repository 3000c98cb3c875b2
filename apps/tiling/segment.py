"""Segments an image tile by tile, in memory that does not grow with its height."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ...core.counting import class_counts
from ...core.labels import VOID, LabelMap
from ...runtime.decode import is_finite
from ...runtime.preprocess import resize_into
from ...runtime.segmenter import Segmenter
from ...runtime.steps import PreparedFrame
from .mosaic import Mosaic
from .plan import Tiling
from .sources import WindowedImage
from .targets import ClassMapFile


@dataclass
class TilingReport:
    """The measurements of an image's segmentation.

    Attributes:
        size_hw: height and width of the image.
        tiles: number of tiles.
        empty_tiles: number of tiles without a valid pixel, which were not inferred.
        not_finite_tiles: number of tiles whose logits were NaN or infinite. Their pixels are void.
        seconds: from the first tile to the last row.
        pixels_of: int64 [256], the number of pixels of each class id; at 255, of void.
    """

    size_hw: tuple[int, int]
    tiles: int
    empty_tiles: int = 0
    not_finite_tiles: int = 0
    seconds: float = 0.0
    pixels_of: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    @property
    def pixels(self) -> int:
        """Number of pixels of the image."""
        return self.size_hw[0] * self.size_hw[1]

    def count(self, classes: npt.NDArray[np.uint8]) -> None:
        """Counts the class ids of some rows, uint8 [rows, W]."""
        self.pixels_of += class_counts(classes)

    def summary(self, labels: LabelMap) -> dict[str, Any]:
        """All measurements, ready for JSON. Shares are of all pixels, from 0 to 1."""
        named = {name: int(self.pixels_of[index]) / self.pixels for index, name in enumerate(labels.names)}
        return {
            "size_hw": list(self.size_hw),
            "pixels": self.pixels,
            "tiles": self.tiles,
            "empty_tiles": self.empty_tiles,
            "not_finite_tiles": self.not_finite_tiles,
            "seconds": self.seconds,
            "megapixels_per_second": self.pixels / 1e6 / self.seconds,
            "class_share": named,
            "void_share": int(self.pixels_of[VOID]) / self.pixels,
        }


class _Tile(NamedTuple):
    """A tile as read."""

    row: int  # of the lattice, at its start
    column: int
    inside_hw: tuple[int, int]  # pixels inside the image
    frame_nhwc: npt.NDArray[np.uint8] | None  # None if all pixels are void
    void_hw: npt.NDArray[np.bool_] | None  # None if no pixel is void


def segment_image(
    segmenter: Segmenter,
    image: WindowedImage,
    class_map: ClassMapFile,
    tiling: Tiling,
    on_progress: Callable[[int, int], None] = lambda done, tiles: None,
) -> TilingReport:
    """Segments an image of any size.

    Each tile is resized to the network's input. Where tiles overlap, their logits are averaged with weights that fall
    towards a tile's edge. All logits are then decoded together, as those of one network. Beyond the right and the
    bottom edge the image is mirrored. Pixels without data are void, and so are the pixels of a tile whose logits are
    not finite.

    Args:
        segmenter: runs the network, a tile at a time.
        image: the image, which is read by windows in a separate thread.
        class_map: receives the classes row by row. The caller closes it.
        tiling: of :meth:`Tiling.of`, for the segmenter's bundle.
        on_progress: is called with the number of finished tiles and of all tiles.

    Raises:
        SourceError: the image cannot be read to its end.
        OutputError: the class map cannot be written.
        BackendError: inference failed.
    """
    begun = time.monotonic()
    height, width = image.size_hw
    rows, columns = tiling.rows.starts(height), tiling.columns.starts(width)
    report = TilingReport(image.size_hw, len(rows) * len(columns))
    mosaic = Mosaic(tiling, image.size_hw, len(segmenter.labels))
    done = 0
    with _read_ahead(segmenter, image, tiling, rows, columns) as tiles:
        for index, row in enumerate(rows):
            down = tiling.rows.weights(index == 0, row == rows[-1])
            for column in columns:
                tile = next(tiles)
                along = tiling.columns.weights(column == 0, column == columns[-1])
                _add(segmenter, tile, mosaic, down[:, None] * along, report)
                done += 1
                on_progress(done, report.tiles)
            for strip in mosaic.finish_until(None if row == rows[-1] else rows[index + 1]):
                report.count(strip)
                class_map.write(strip)
    report.seconds = time.monotonic() - begun
    return report


def _add(
    segmenter: Segmenter,
    tile: _Tile,
    mosaic: Mosaic,
    weights_hw: npt.NDArray[np.float32],
    report: TilingReport,
) -> None:
    if tile.void_hw is not None:
        mosaic.add_void(tile.void_hw, tile.row, tile.column)
    if tile.frame_nhwc is None:
        report.empty_tiles += 1
        return
    # The frame's size is 0, so that a backend that decodes to the frame's size gives logits.
    inference = segmenter.infer(PreparedFrame(tile.frame_nhwc, (0, 0), 0, 0.0, 0.0), logits=True)
    logits_chw = inference.logits
    assert logits_chw is not None
    if is_finite(logits_chw):
        mosaic.add(logits_chw, tile.row, tile.column, weights_hw)
    else:
        report.not_finite_tiles += 1
        mosaic.add_void(np.ones(tile.inside_hw, np.bool_), tile.row, tile.column)
    segmenter.check_kept(inference)  # other threads may use the segmenter


@contextmanager
def _read_ahead(
    segmenter: Segmenter, image: WindowedImage, tiling: Tiling, rows: list[int], columns: list[int]
) -> Iterator[Iterator[_Tile]]:
    """Reads the next tile while the network works on this one. Two input arrays are used in turn."""
    inputs = [np.empty((1, *segmenter.bundle.input_size_hw, 3), np.uint8) for _ in range(2)]
    # Not an executor: a Ctrl-C at the wrong moment leaves its locks held, and the program waits for ever.
    wanted: SimpleQueue[tuple[int, int, npt.NDArray[np.uint8]] | None] = SimpleQueue()
    found: SimpleQueue[_Tile | BaseException] = SimpleQueue()

    def read() -> None:
        while (place := wanted.get()) is not None:
            try:
                found.put(_read(image, tiling, *place))
            except BaseException as error:  # for the thread that waits for the tile
                found.put(error)

    def next_tile() -> _Tile:
        tile = found.get()
        if isinstance(tile, BaseException):
            raise tile
        return tile

    def tiles() -> Iterator[_Tile]:
        for index, (row, column) in enumerate(itertools.product(rows, columns)):
            wanted.put((row, column, inputs[index % 2]))
            if index:
                yield next_tile()
        yield next_tile()

    reader = Thread(target=read, name="edgeseg tiles")
    try:
        reader.start()
        yield tiles()
    finally:
        wanted.put(None)
        if reader.is_alive():
            reader.join()


def _read(
    image: WindowedImage, tiling: Tiling, row: int, column: int, frame_nhwc: npt.NDArray[np.uint8]
) -> _Tile:
    height, width = tiling.tile_hw
    top, left = tiling.rows.to_px(row), tiling.columns.to_px(column)
    inside_hw = min(height, image.size_hw[0] - top), min(width, image.size_hw[1] - left)
    tile_bgr, valid = image.read(top, left, *inside_hw)
    void_hw = None if valid is None or valid.all() else ~valid
    if void_hw is not None and void_hw.all():
        return _Tile(row, column, inside_hw, None, void_hw)
    below, right = height - inside_hw[0], width - inside_hw[1]
    if below or right:
        tile_bgr = np.asarray(
            cv2.copyMakeBorder(tile_bgr, 0, below, 0, right, cv2.BORDER_REFLECT_101), np.uint8
        )
    resize_into(tile_bgr, frame_nhwc[0])
    return _Tile(row, column, inside_hw, frame_nhwc, void_hw)
