"""A band of the lattice of logits. Tiles are added to it, and its final rows are decoded to classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Floats
from ...core.labels import VOID
from ...runtime.decode import decode
from .plan import Tiling

_MAX_LOGITS = 1 << 17
_MAX_PIXELS = 1 << 19
"""Limits on one decode: the work arrays stay much smaller than the band, and fit the CPU's cache."""


class Mosaic:
    """Blends the logits of tiles and decodes the result, from top to bottom.

    Holds one band of logits, float32 [C, h + 2, W / pixels a logit], and one of void pixels, both as high as a tile.

    Args:
        tiling: the places of the tiles.
        size_hw: height and width of the image.
        classes: number of the network's classes.
    """

    def __init__(self, tiling: Tiling, size_hw: tuple[int, int], classes: int) -> None:
        self._rows, self._columns = tiling.rows, tiling.columns
        self._size_hw = size_hw
        self._height = self._rows.lattice(size_hw[0])
        width = self._columns.lattice(size_hw[1])
        # Besides the tile's own rows, the rows above it that the decode needs: those that wait, and their neighbours.
        band_rows = min(self._height, self._rows.cells + 2 * self._rows.unit_cells)
        self._sum = np.zeros((classes, band_rows, width), np.float32)
        self._weight = np.zeros((band_rows, width), np.float32)
        self._first = 0  # the lattice row that the band begins with
        self._decoded = 0  # the number of lattice rows that are decoded
        self._void = np.zeros((self._rows.to_px(band_rows), size_hw[1]), np.bool_)
        self._any_void = False

    def add(self, logits_chw: Floats, row: int, column: int, weights_hw: Floats) -> None:
        """Adds a tile's logits.

        Args:
            logits_chw: float32 [C, h, w], finite.
            row, column: of the lattice, at the tile's start.
            weights_hw: float32 [h, w], above 0.
        """
        height, width = weights_hw.shape
        rows = slice(row - self._first, row - self._first + height)
        columns = slice(column, column + width)
        self._sum[:, rows, columns] += logits_chw * weights_hw
        self._weight[rows, columns] += weights_hw

    def add_void(self, void_hw: npt.NDArray[np.bool_], row: int, column: int) -> None:
        """Marks pixels of a tile as void.

        Args:
            void_hw: bool [H, W] from the tile's first pixel on, inside the image.
            row, column: of the lattice, at the tile's start.
        """
        top, left = self._rows.to_px(row - self._first), self._columns.to_px(column)
        self._void[top : top + void_hw.shape[0], left : left + void_hw.shape[1]] |= void_hw
        self._any_void = True

    def finish_until(self, next_row: int | None) -> Iterator[ClassMap]:
        """Decodes the lattice rows that no further tile touches.

        Args:
            next_row: the first lattice row of the next row of tiles; None after the last.

        Yields:
            uint8 [rows, W], the next rows of the class map; each array is overwritten by the next one.
        """
        unit = self._rows.unit_cells
        # The last final rows wait: their last pixels lie between them and rows that are not final.
        stop = self._height if next_row is None else next_row - unit
        width_px = self._columns.to_px(self._sum.shape[2])
        at_once = min(
            _MAX_LOGITS // (unit * len(self._sum) * self._sum.shape[2]),
            _MAX_PIXELS // (self._rows.unit_px * width_px),
        )
        chunk = unit * max(4, at_once)
        while self._decoded < stop and self._rows.to_px(self._decoded) < self._size_hw[0]:
            upto = min(stop, self._decoded + chunk)
            yield self._decode(self._decoded, upto, width_px)
            self._decoded = upto
        if next_row is not None:
            self._advance(max(0, self._decoded - unit))

    def _decode(self, start: int, stop: int, width_px: int) -> ClassMap:
        """The classes of the lattice rows from start to stop, as far as the image has them."""
        unit = self._rows.unit_cells
        above, below = max(0, start - unit), min(self._height, stop + unit)
        rows = slice(above - self._first, below - self._first)
        weight = self._weight[rows]
        # Places without a tile are void. Their logits are 0, which does not change a neighbour's best class.
        logits = self._sum[:, rows] / (weight + (weight == 0))
        classes = decode(logits, (self._rows.to_px(below - above), width_px))
        top = self._rows.to_px(start)
        bottom = min(self._rows.to_px(stop), self._size_hw[0])
        skipped = self._rows.to_px(above)
        strip = classes[top - skipped : bottom - skipped, : self._size_hw[1]]
        if self._any_void:
            first = self._rows.to_px(self._first)
            strip[self._void[top - first : bottom - first]] = VOID
        return strip

    def _advance(self, first: int) -> None:
        """Drops the rows above one, and makes room below."""
        gone = first - self._first
        self._first = first
        for plane in (*self._sum, self._weight):
            _shift_up(plane, gone)
        if self._any_void:
            _shift_up(self._void, self._rows.to_px(gone))


def _shift_up(plane: npt.NDArray[np.float32] | npt.NDArray[np.bool_], rows: int) -> None:
    """Moves a plane's rows up, and clears the last rows; in place, without a copy of the plane."""
    if rows:
        for start in range(0, len(plane) - rows, rows):
            stop = min(start + rows, len(plane) - rows)
            plane[start:stop] = plane[start + rows : stop + rows]
        plane[len(plane) - rows :] = 0
