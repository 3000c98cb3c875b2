"""The judge of the boundary: what is too far, what is too early, and what void says nothing about."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.benchmarks.free_space.boundary import BoundaryTally, true_span
from edgeseg.benchmarks.free_space.misses import Misses, drivable_table, size_names
from edgeseg.core.labels import VOID

ROAD, CAR, POST = range(3)
DRIVABLE = drivable_table(("road", "car", "post"), ("road",))


def column(*classes: int) -> np.ndarray:
    """One column, from its lowest pixel upwards."""
    return np.array(classes[::-1], np.uint8)[:, None]


@pytest.mark.parametrize(
    ("classes", "span"),
    [
        ((ROAD, ROAD, CAR, ROAD), (1, 1)),
        ((CAR, ROAD, ROAD, ROAD), (3, 3)),
        ((ROAD, ROAD, ROAD, ROAD), (-1, -1)),
        ((ROAD, VOID, VOID, CAR), (2, 0)),
        ((ROAD, VOID, ROAD, CAR), (2, 0)),
        ((ROAD, VOID, ROAD, ROAD), (2, -1)),
    ],
)
def test_the_span_of_the_truth(classes: tuple[int, ...], span: tuple[int, int]) -> None:
    lowest, highest = true_span(column(*classes), DRIVABLE)
    assert (lowest[0], highest[0]) == span


def test_errors_have_a_side_and_void_is_on_neither() -> None:
    mask = np.full((20, 4), ROAD, np.uint8)
    mask[:10] = CAR
    mask[5:10, 3] = VOID
    tally = BoundaryTally()
    tally.add(mask, DRIVABLE, np.array([9, 3, 15, 6]))
    assert tally.errors_px[0].tolist() == [0, 6, -6, 0]
    assert (tally.columns, tally.unsafe, dict(tally.passed)) == (4, 1, {CAR: 1})
    assert (tally.unsafe_share, tally.early_share, tally.vague) == (0.25, 0.25, 0)
    assert tally.percentile(100) == 6
    tally.add(mask, DRIVABLE, np.array([4, -1, 9, 4]))
    assert tally.errors_px[1].tolist() == [5, 10, 0, 0]
    assert tally.unsafe == 2  # five pixels are within what labels are good for


def test_what_is_missed_by_pixels_and_by_objects() -> None:
    mask = np.full((60, 60), ROAD, np.uint8)
    mask[2:12, 2:12] = POST  # 100 pixels, found in part
    mask[20:23, 2:5] = POST  # 9 pixels, all drivable
    mask[30:36, 2:8] = POST  # 36 pixels, taken for a car
    seen = np.full_like(mask, ROAD)
    seen[2:5, 2:12] = POST
    seen[30:36, 2:8] = CAR
    misses = Misses()
    misses.add(mask, seen, POST, DRIVABLE)
    assert (misses.pixels, misses.missed, misses.drivable) == (145, 115, 79)
    assert size_names() == ["below 25", "25 to 99", "100 to 399", "400 to 1599", "1600 and more"]
    found = [(each.count, each.missed, each.driven_over) for each in misses.by_size]
    assert found == [(1, 1, 1), (1, 1, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0)]
