"""The decode in NumPy, for machines where the compiled kernel was not built. Both give the same bits.

The reference is bilinear interpolation (``align_corners=False``) of the logits to the frame's size, then
argmax. Interpolation is a convex combination of the four neighbouring logits. Two facts avoid nearly all work:

- if the four neighbours have the same argmax, every pixel between them has it too;
- if they differ, a class that one other class beats at all four of them wins no pixel between them.

So uniform *cells* (the pixels between four neighbouring logits) are filled. In the mixed cells, only the
classes that can win are interpolated. Ties go to the lower class id, as in ``argmax``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Floats

Indices = npt.NDArray[np.intp]

_CHUNK_VALUES = 1 << 17
"""The number of values in a work array: half a megabyte of float32, which fits into a core's second-level cache."""


def decode(logits: Floats, size_hw: tuple[int, int], out: ClassMap | None = None) -> ClassMap:
    """Returns the same as :func:`.decode.decode`, for the same arguments. Does not check for NaN or infinity."""
    coarse = logits.argmax(axis=0).astype(np.uint8)  # [h, w]
    out = np.empty(size_hw, np.uint8) if out is None else out
    if coarse.shape == size_hw:
        out[:] = coarse
        return out
    rows, columns = (axis_of(n, size) for n, size in zip(coarse.shape, size_hw, strict=True))

    # The class of a cell's near corner is final in uniform cells; mixed cells are overwritten below.
    coarse.take(columns.near[columns.cell], axis=1).take(rows.near[rows.cell], axis=0, out=out)

    grid = _Grid(logits, coarse, rows, columns)
    mixed = _mixed_cells(coarse) & (rows.pixels > 0)[:, None] & (columns.pixels > 0)
    cell_y, cell_x = np.nonzero(mixed)
    pixels_per_cell = int(rows.pixels.max() * columns.pixels.max())
    step = max(1, _CHUNK_VALUES // max(pixels_per_cell, 4 * len(logits)))
    for start in range(0, len(cell_y), step):
        chunk = slice(start, start + step)
        _decode_cells(grid, cell_y[chunk], cell_x[chunk], out)
    return out


def decode_margin(logits: Floats, size_hw: tuple[int, int]) -> Floats:
    """Returns each pixel's margin: its largest interpolated logit minus its second largest, float32 [H, W].

    Needs every class at every pixel, so it takes as long as the naive decode. With one class it is infinite.
    """
    rows, columns = (axis_of(n, size) for n, size in zip(logits.shape[1:], size_hw, strict=True))
    near, far = columns.near[columns.cell], columns.far[columns.cell]
    margin = np.empty(size_hw, np.float32)
    step = max(1, _CHUNK_VALUES // (len(logits) * size_hw[1]))
    for start in range(0, size_hw[0], step):
        strip = slice(start, start + step)
        down = rows.weight[strip, None]
        cell = rows.cell[strip]
        top, bottom = logits[:, rows.near[cell]], logits[:, rows.far[cell]]  # [C, step, w]
        lines = top + down * (bottom - top)
        left, right = lines[:, :, near], lines[:, :, far]  # [C, step, W]
        values = left + columns.weight * (right - left)
        if len(values) == 1:
            margin[strip] = np.inf
        else:
            top_two = np.partition(values, len(values) - 2, axis=0)[-2:]
            margin[strip] = top_two[1] - top_two[0]
    return margin


class Axis(NamedTuple):
    """The cells of the pixels along one axis.

    Cell i is between the logits i - 1 and i. The first and the last cell are between the edge and the outermost logit,
    which is then both corners. So there is one more cell than there are logits.
    """

    cell: Indices  # [fine] the cell of each pixel
    weight: Floats  # [fine] the pixel's position between the cell's near logit (0) and its far one (1)
    near: Indices  # [cells] the logit before each cell
    far: Indices  # [cells] the logit after it
    first: Indices  # [cells] the first pixel of each cell
    pixels: Indices  # [cells] the number of pixels of each cell, which may be 0


@lru_cache(maxsize=32)
def axis_of(coarse: int, fine: int) -> Axis:
    """Returns the cells between ``coarse`` logits for ``fine`` pixels."""
    # float32, in the same steps as PyTorch, so that both round in the same way.
    scale = np.float32(coarse) / np.float32(fine)
    position = scale * (np.arange(fine, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    before = np.floor(position)
    cell = np.clip(before.astype(np.intp) + 1, 0, coarse)
    edges = np.searchsorted(cell, np.arange(coarse + 2))
    axis = Axis(
        cell=cell,
        weight=(position - before).astype(np.float32),
        near=np.maximum(np.arange(coarse + 1) - 1, 0),
        far=np.minimum(np.arange(coarse + 1), coarse - 1),
        first=edges[:-1],
        pixels=np.diff(edges),
    )
    for array in axis:
        array.setflags(write=False)
    return axis


class _Grid(NamedTuple):
    """The logits of a frame, and the cells between them."""

    logits: Floats  # [C, h, w]
    coarse: ClassMap  # [h, w] the best class of each logit position
    rows: Axis
    columns: Axis


def _mixed_cells(coarse: ClassMap) -> npt.NDArray[np.bool_]:
    """Returns True for each cell whose corners have different classes, bool [h + 1, w + 1]."""
    corner = np.pad(coarse, 1, mode="edge")
    down, right = corner[:-1] != corner[1:], corner[:, :-1] != corner[:, 1:]
    mixed: npt.NDArray[np.bool_] = down[:, :-1] | down[:, 1:] | right[:-1] | right[1:]
    return mixed


def _decode_cells(grid: _Grid, y: Indices, x: Indices, out: ClassMap) -> None:
    """Interpolates the cells (y, x), both [M], and writes their pixels. The last axis of every array is the cells."""
    corners, order, candidates, contenders = _contenders(grid, y, x)
    rows, columns, y, x = grid.rows, grid.columns, y[order], x[order]

    # Cells differ in size by a pixel, so the smaller ones repeat their last row or column.
    row = rows.first[y] + np.minimum(np.arange(rows.pixels.max())[:, None], rows.pixels[y] - 1)  # [by, M]
    column = columns.first[x] + np.minimum(np.arange(columns.pixels.max())[:, None], columns.pixels[x] - 1)
    down, along = rows.weight[row], columns.weight[column]

    # From here on, [by, bx, M]. Cells are in falling order of their number of candidates, so that the cells with a
    # candidate of some rank come first.
    best: Floats = np.empty((len(row), len(column), len(y)), np.float32)
    scratch = np.empty_like(best)
    winner = np.empty(best.shape, np.uint8)
    for rank, live in enumerate(contenders):
        top_left, top_right, bottom_left, bottom_right = corners[:, rank, :live]
        left = top_left + down[:, :live] * (bottom_left - top_left)
        right = top_right + down[:, :live] * (bottom_right - top_right)
        value = scratch[..., :live] if rank else best
        np.multiply((right - left)[:, None], along[None, :, :live], out=value)
        value += left[:, None]
        if rank == 0:
            winner[:] = candidates[0]
            continue
        # Arithmetic modulo 256 instead of a masked copy, because it runs in vector instructions.
        change = candidates[rank, :live] - winner[..., :live]
        change *= value > best[..., :live]
        winner[..., :live] += change
        np.maximum(best[..., :live], value, out=best[..., :live])
    out.reshape(-1)[row[:, None] * out.shape[1] + column[None]] = winner


def _contenders(grid: _Grid, y: Indices, x: Indices) -> tuple[Floats, Indices, ClassMap, list[int]]:
    """Finds the classes that can win a pixel of each cell.

    Returns:
        The candidates' logits at the four corners, float32 [4, K, M]; the order of the cells; the candidates' class
        ids, uint8 [K, M], rising; and for each rank the number of cells with a candidate of that rank.
    """
    logits, coarse, rows, columns = grid
    width = coarse.shape[1]
    at = np.stack(
        [
            row * width + column
            for row in (rows.near[y], rows.far[y])
            for column in (columns.near[x], columns.far[x])
        ]
    )  # [4, M]
    values = logits.reshape(len(logits), -1).take(at, axis=1)  # [C, 4, M]
    beaten = np.zeros((len(logits), len(y)), np.bool_)
    for winner in coarse.reshape(-1)[at]:
        rival = np.take_along_axis(values, winner.astype(np.intp)[None, None], axis=0)  # [1, 4, M]
        # Strictly greater at all four corners, because a class that ties at one corner may win the pixel there.
        beaten |= (rival > values).all(axis=1)

    amount = len(logits) - np.count_nonzero(beaten, axis=0)
    order = np.argsort(-amount, kind="stable")
    amount = amount[order]
    cell, class_id = np.nonzero(~beaten.T[order])
    rank = np.arange(len(cell)) - (np.cumsum(amount) - amount)[cell]
    candidates = np.zeros((int(amount[0]), len(y)), np.intp)
    candidates[rank, cell] = class_id
    kept = values[candidates[None], np.arange(4)[:, None, None], order]  # [4, K, M]
    live = [int(np.count_nonzero(amount > k)) for k in range(len(candidates))]
    return kept, order, candidates.astype(np.uint8), live
