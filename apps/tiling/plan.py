"""The places of the tiles, with all logits on one lattice over the image.

A tile of ``cells`` logits covers a whole number of pixels, and tiles start a whole number of logits apart. So the
logits of neighbours coincide, can be averaged, and are decoded together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ...core.errors import UsageError
from ...runtime.bundle import Bundle

_FINEST_PX = 8
"""A tile's size is rounded to steps that move a logit by this many input pixels, or by one stride."""

_DEFAULT_OVERLAP = 8  # an eighth of the tile's shorter side


@dataclass(frozen=True)
class TileAxis:
    """The places of tiles along one side of the image. ``unit_cells`` logits cover ``unit_px`` pixels.

    Attributes:
        cells: logits of one tile; a multiple of ``unit_cells``.
        unit_cells: the fewest logits that cover a whole number of pixels.
        unit_px: the number of these pixels.
        step_cells: logits from one tile's start to the next; a multiple of ``unit_cells``.
    """

    cells: int
    unit_cells: int
    unit_px: int
    step_cells: int

    @property
    def tile_px(self) -> int:
        """The tile's side in pixels of the image."""
        return self.to_px(self.cells)

    @property
    def overlap_px(self) -> int:
        """The number of pixels that two neighbours share. The last tile may share more."""
        return self.to_px(self.cells - self.step_cells)

    def to_px(self, cells: int) -> int:
        """Pixels that a multiple of ``unit_cells`` covers."""
        return cells // self.unit_cells * self.unit_px

    def lattice(self, length_px: int) -> int:
        """Logits along a side of the image, at least one tile's. The last may lie beyond the image's edge."""
        return max(-(-length_px // self.unit_px) * self.unit_cells, self.cells)

    def starts(self, length_px: int) -> list[int]:
        """The first logit of each tile along a side of the image. The last tile ends with the lattice."""
        last = self.lattice(length_px) - self.cells
        return [*range(0, last, self.step_cells), last]

    def weights(self, first: bool, last: bool) -> npt.NDArray[np.float32]:
        """The weight of each logit of a tile, float32 [cells], above 0 and up to 1.

        It is 1 in the middle. Over the overlap it falls as a squared sine, so that the weights of two neighbours add
        up to 1.

        Args:
            first: the tile is the first of its row or column, with weight 1 up to the image's edge.
            last: the tile is the last, with weight 1 likewise.
        """
        overlap = self.cells - self.step_cells
        rise = np.sin((np.arange(overlap) + 0.5) / max(1, overlap) * (np.pi / 2)) ** 2
        weights = np.ones(self.cells)
        if not first:
            weights[:overlap] *= rise
        if not last:
            weights[self.cells - overlap :] *= rise[::-1]
        return weights.astype(np.float32)


@dataclass(frozen=True)
class Tiling:
    """Tile size and overlap, fitted to a bundle.

    Attributes:
        rows: along the image's height.
        columns: along its width.
    """

    rows: TileAxis
    columns: TileAxis

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        tile_px: int | tuple[int, int] | None = None,
        overlap_px: int | None = None,
    ) -> Tiling:
        """Fits a tiling to a bundle.

        The tile is rounded to the nearest size whose logits are on the lattice. The overlap is at least the requested
        one, and less than one unit larger.

        Args:
            bundle: of the network.
            tile_px: the tile's longer side in pixels of the image, with the other side in the network's ratio; or its
                height and width; None for the network's input.
            overlap_px: pixels that neighbours share; None for an eighth of the tile's shorter side.

        Raises:
            UsageError: a side is not positive, or the overlap leaves no step.
        """
        cells_hw, stride = bundle.output_size_hw, bundle.stride
        per_cell = _divisor(math.gcd(*cells_hw), max(1, _FINEST_PX // stride))
        if tile_px is None:
            scale_hw = Fraction(stride), Fraction(stride)
        elif isinstance(tile_px, int):
            scale = _scale(tile_px, max(cells_hw), per_cell)
            scale_hw = scale, scale
        else:
            scale_hw = (
                _scale(tile_px[0], cells_hw[0], per_cell),
                _scale(tile_px[1], cells_hw[1], per_cell),
            )
        shorter_px = int(min(cells * scale for cells, scale in zip(cells_hw, scale_hw, strict=True)))
        overlap_px = shorter_px // _DEFAULT_OVERLAP if overlap_px is None else overlap_px
        if not 0 <= overlap_px < shorter_px:
            raise UsageError(
                f"an overlap of {overlap_px} pixels does not go with tiles whose shorter side is {shorter_px};"
                f" expected 0 to {shorter_px - 1}, such as {shorter_px // _DEFAULT_OVERLAP}"
            )
        rows, columns = (
            _axis(cells, scale, overlap_px) for cells, scale in zip(cells_hw, scale_hw, strict=True)
        )
        return cls(rows, columns)

    @property
    def tile_hw(self) -> tuple[int, int]:
        """Height and width of a tile in pixels of the image."""
        return self.rows.tile_px, self.columns.tile_px

    @property
    def overlap_hw(self) -> tuple[int, int]:
        """Rows and columns of pixels that neighbours share."""
        return self.rows.overlap_px, self.columns.overlap_px


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most ``most``."""
    return next(divisor for divisor in range(most, 0, -1) if number % divisor == 0)


def _scale(side_px: int, cells: int, per_cell: int) -> Fraction:
    """The number of pixels for each logit, in steps of ``1 / per_cell``."""
    if side_px < 1:
        raise UsageError(f"a tile's side of {side_px} pixels: expected 1 or more")
    return Fraction(max(1, round(Fraction(side_px * per_cell, cells))), per_cell)


def _axis(cells: int, scale: Fraction, overlap_px: int) -> TileAxis:
    unit_px, unit_cells = scale.numerator, scale.denominator
    tile_px = cells // unit_cells * unit_px
    step = (tile_px - overlap_px) // unit_px * unit_cells
    if step < 1:
        raise UsageError(
            f"an overlap of {overlap_px} pixels leaves tiles of {tile_px} no step; a logit covers {unit_px},"
            f" so expected at most {tile_px - unit_px}"
        )
    return TileAxis(cells, unit_cells, unit_px, step)
