"""The eight classes of the aerial world."""

from __future__ import annotations

from ...core.labels import LabelMap

GRASS, FIELD, ROAD, ROOF, WATER, TREE, CAR, PERSON = range(8)

AERIAL_LABELS = LabelMap.from_pairs(
    [
        ("grass", (124, 200, 92)),
        ("bare field", (202, 156, 92)),
        ("road", (128, 122, 142)),
        ("roof", (214, 86, 70)),
        ("water", (52, 132, 224)),
        ("tree", (24, 104, 56)),
        ("car", (250, 212, 40)),
        ("person", (244, 60, 200)),
    ]
)
"""Ids 0 to 7. *Road* is all made ground (asphalt, paving, gravel, dirt tracks), *bare field* is ploughed or sown soil
and sand, *roof* is every building, *tree* is every canopy, with hedges and bushes."""
