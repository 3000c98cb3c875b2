"""The use of each block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .canvas import MAP_PX, PX_PER_M
from .country import fields, orchard, park, river_bank, wood
from .layout import Block, PlaceLayout
from .scene import Scene
from .town import commercial, market, residential

FILLERS: dict[str, Callable[[Scene, Block, np.random.Generator], None]] = {
    "residential": residential,
    "commercial": commercial,
    "market": market,
    "park": park,
    "wood": wood,
    "fields": fields,
    "orchard": orchard,
}


def fill_blocks(scene: Scene, layout: PlaceLayout, rng: np.random.Generator) -> None:
    """Gives every block its use: always one market, one car park, a park and a wood; homes and fields elsewhere."""
    free = [block for row in layout.blocks for i, block in enumerate(row) if i != layout.river_column]
    uses = [
        "market",
        "commercial",
        "park",
        "fields",
        "residential",
        "residential",
        "fields",
        "wood",
        "commercial",
    ]
    extra = rng.choice(
        ["residential", "fields", "orchard", "park", "commercial"], max(0, len(free) - len(uses))
    )
    uses = (uses + [str(use) for use in extra])[: len(free)]
    for block, k in zip(free, rng.permutation(len(uses)), strict=True):
        FILLERS[uses[k]](scene, block, rng)
    for row in layout.blocks:
        river_bank(scene, row[layout.river_column], rng, layout)
    for street in layout.streets:
        if street.kind == "dirt":
            continue
        for s in np.arange(rng.uniform(0, 200), MAP_PX, rng.uniform(11, 17) * PX_PER_M):
            side = int(rng.choice([-1, 1]))
            at, _ = street.curve.place(s, side * (street.reach_px + 2.4 * PX_PER_M))
            if rng.random() < 0.5:
                scene.plant(rng, at, int(rng.integers(2, 5)))
