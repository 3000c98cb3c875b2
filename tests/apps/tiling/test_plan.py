"""The places of tiles: all logits on one lattice, every pixel covered, weights that sum to one."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from edgeseg.apps.tiling import Tiling
from edgeseg.core.errors import UsageError
from edgeseg.runtime.bundle import Bundle
from hypothesis import assume, given
from hypothesis import strategies as st


class Shape:
    """A bundle with the attributes that a tiling reads."""

    def __init__(self, input_size_hw: tuple[int, int], stride: int) -> None:
        self.stride = stride
        self.output_size_hw = tuple(-(-side // stride) for side in input_size_hw)


shapes = st.builds(
    Shape,
    st.tuples(st.integers(32, 600), st.integers(32, 600)),
    st.sampled_from([1, 2, 4, 8, 16, 32]),
)


@given(shapes, st.integers(1, 3000), st.floats(0, 0.95), st.integers(1, 5000))
def test_tiles_cover_the_image_on_one_lattice(shape: Shape, tile: int, share: float, length: int) -> None:
    try:
        whole = Tiling.of(shape, tile, 0)  # type: ignore[arg-type]
        overlap = int(share * min(whole.tile_hw))
        tiling = Tiling.of(shape, tile, overlap)  # type: ignore[arg-type]
    except UsageError:  # an overlap that a logit of so many pixels leaves no step
        assume(False)
    for axis in (tiling.rows, tiling.columns):
        starts, lattice = axis.starts(length), axis.lattice(length)
        assert axis.cells % axis.unit_cells == axis.step_cells % axis.unit_cells == 0
        assert all(start % axis.unit_cells == 0 for start in starts)
        assert starts == sorted(set(starts))
        assert starts[0] == 0
        assert starts[-1] + axis.cells == lattice
        assert axis.to_px(lattice) >= length
        assert axis.to_px(lattice) - length < max(axis.unit_px, axis.tile_px)
        assert overlap <= axis.overlap_px < overlap + axis.unit_px
        assert all(b - a <= axis.step_cells for a, b in itertools.pairwise(starts))


@given(shapes, st.integers(1, 3000))
def test_a_tile_is_rounded_by_less_than_a_logit_and_keeps_the_networks_shape(shape: Shape, tile: int) -> None:
    tiling = Tiling.of(shape, tile, 0)  # type: ignore[arg-type]
    rows, columns = tiling.rows, tiling.columns
    assert (rows.unit_px, rows.unit_cells) == (columns.unit_px, columns.unit_cells)
    longer = max(shape.output_size_hw)
    assert abs(max(tiling.tile_hw) - tile) <= max(longer / 2, longer - tile)


@given(st.integers(2, 100), st.data())
def test_the_weights_of_two_neighbours_sum_to_one(cells: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, cells // 2))
    shape = Shape((cells, cells), 1)
    shape.stride = 8
    axis = Tiling.of(shape, None, overlap * 8).rows  # type: ignore[arg-type]
    middle, first, last = axis.weights(False, False), axis.weights(True, False), axis.weights(False, True)
    assert middle.dtype == np.float32
    assert middle.min() > 0
    assert (first[: cells - overlap] == 1).all()
    assert (last[overlap:] == 1).all()
    np.testing.assert_allclose(middle[cells - overlap :] + middle[:overlap], 1, atol=1e-6)
    np.testing.assert_array_equal(axis.weights(True, True), 1)


@pytest.mark.parametrize(
    ("stride", "tile", "tile_hw", "unit"),
    [
        (8, None, (360, 480), (8, 1)),
        (8, 1024, (765, 1020), (17, 1)),
        (8, (768, 1024), (765, 1020), (17, 1)),
        (8, (360, 960), (360, 960), (8, 1)),
        (1, None, (360, 480), (1, 1)),
        (1, 1000, (765, 1020), (17, 8)),
        (1, 240, (180, 240), (1, 2)),
    ],
)
def test_tile_sizes(stride: int, tile: object, tile_hw: tuple[int, int], unit: tuple[int, int]) -> None:
    tiling = Tiling.of(Shape((360, 480), stride), tile, 0)  # type: ignore[arg-type]
    assert tiling.tile_hw == tile_hw
    assert (tiling.rows.unit_px, tiling.rows.unit_cells) == unit


def test_a_real_bundle(bundle_folder: Path) -> None:
    tiling = Tiling.of(Bundle.load(bundle_folder))
    assert (tiling.tile_hw, tiling.overlap_hw) == ((32, 48), (4, 4))


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (None, 360, "an overlap of 360 pixels does not go with tiles whose shorter side is 360"),
        (None, -1, "expected 0 to 359, such as 45"),
        (None, 353, "leaves tiles of 360 no step; a logit covers 8, so expected at most 352"),
        (0, 0, "a tile's side of 0 pixels: expected 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(tile: int | None, overlap: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tiling.of(Shape((360, 480), 8), tile, overlap)  # type: ignore[arg-type]
