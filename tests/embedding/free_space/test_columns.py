"""The boundary in a class map: the first pixel from below that is not drivable, in each column, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.labels import VOID
from edgeseg.embedding.free_space.columns import (
    DRIVABLE,
    OBSTACLE,
    UNKNOWN,
    boundary_of,
    kinds_of,
    turned_kinds,
)

from ..conftest import GRASS, LABELS, PERSON, ROAD


def boundary(classes: np.ndarray, bonnet_px: int = 0) -> tuple[list[int], list[int]]:
    rows, kinds = boundary_of(turned_kinds(classes, kinds_of(LABELS, ["road"])), bonnet_px)
    return rows.tolist(), kinds.tolist()


def test_the_first_pixel_from_below_counts_and_no_other() -> None:
    classes = np.full((6, 5), ROAD, np.uint8)
    classes[0] = GRASS
    classes[1, 0] = PERSON
    classes[3, 1] = PERSON  # a single pixel with road above and below
    classes[5, 2] = GRASS  # at the lower edge
    classes[2, 3] = VOID
    classes[0, 4] = ROAD
    assert boundary(classes) == ([1, 3, 5, 2, -1], [OBSTACLE, OBSTACLE, OBSTACLE, UNKNOWN, DRIVABLE])


def test_the_bonnet_is_passed_over() -> None:
    classes = np.full((6, 2), ROAD, np.uint8)
    classes[4:] = PERSON
    classes[1, 1] = PERSON
    assert boundary(classes) == ([5, 5], [OBSTACLE, OBSTACLE])
    assert boundary(classes, bonnet_px=2) == ([-1, 1], [DRIVABLE, OBSTACLE])


def test_ids_without_a_class_are_unknown() -> None:
    table = kinds_of(LABELS, ["road", "grass"])
    assert table[[GRASS, ROAD, PERSON]].tolist() == [DRIVABLE, DRIVABLE, OBSTACLE]
    assert (table[len(LABELS) :] == UNKNOWN).all()
    assert table[VOID] == UNKNOWN


def test_agrees_with_a_search_pixel_by_pixel() -> None:
    classes = np.random.default_rng(3).choice([ROAD, ROAD, ROAD, PERSON, VOID], (40, 60)).astype(np.uint8)
    rows, kinds = boundary(classes, bonnet_px=3)
    for column in range(60):
        expected = next((row for row in range(36, -1, -1) if classes[row, column] != ROAD), -1)
        assert rows[column] == expected
        if expected >= 0:
            assert kinds[column] == (UNKNOWN if classes[expected, column] == VOID else OBSTACLE)


def test_refuses_a_class_that_the_network_does_not_know() -> None:
    with pytest.raises(
        UsageError, match=r"'lane' is not a class of the network; it knows grass, road, person"
    ):
        kinds_of(LABELS, ["road", "lane"])
    with pytest.raises(UsageError, match="no class may be driven on; name at least one, such as road"):
        kinds_of(LABELS, [])
