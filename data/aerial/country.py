"""Green blocks: park, wood, farmland, orchard, river bank."""

from __future__ import annotations

import numpy as np

from .buildings import Building
from .canvas import MAP_PX, PX_PER_M, box
from .labels import ROAD
from .layout import Block, PlaceLayout
from .scene import GRAVEL, Scene, roof_colour
from .terrain import blob, paint_field, paint_meadow, paint_pond


def park(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds a park: lawns, winding gravel paths, a pond, groups of trees, people."""
    paint_meadow(
        scene.canvas, rng, scene.appearance, block.part(0.01, 0.01, 0.99, 0.99), block.angle(0.5), mown=True
    )
    for _ in range(3):
        wild = blob(rng, block.point(*rng.uniform(0.2, 0.8, 2)), rng.uniform(7, 14) * PX_PER_M)
        paint_meadow(scene.canvas, rng, scene.appearance, wild, 0.0, mown=False)
    pond = block.point(rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.65))
    t = np.linspace(0, 1, 40)
    waves = [rng.uniform(0, 2 * np.pi) for _ in range(2)]
    paths = [
        block.point(t, 0.3 + 0.16 * np.sin(5 * t + waves[0])),
        block.point(0.68 + 0.14 * np.sin(5 * t + waves[1]), t),
    ]
    for path in paths:
        scene.canvas.line(path, rng.uniform(2.0, 2.8), GRAVEL, ROAD, 0.4, 0.5)
        for _ in range(scene.crowd(rng, 10)):
            scene.stroll(rng, path[int(rng.integers(len(path)))], 2.5)
    paint_pond(scene.canvas, rng, scene.appearance, pond, rng.uniform(9, 15) * PX_PER_M)
    for _ in range(int(rng.integers(9, 15))):
        centre = block.point(rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95))
        for _ in range(int(rng.integers(2, 9))):
            scene.plant(rng, centre + rng.normal(0, 5.5 * PX_PER_M, 2), int(rng.integers(1, 6)))
    for _ in range(scene.crowd(rng, 24)):
        centre = block.point(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
        for _ in range(int(rng.integers(1, 4))):
            scene.stroll(rng, centre + rng.normal(0, 18, 2), 1.5)


def wood(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds a wood with clearings and a track through it."""
    t = np.linspace(0, 1, 30)
    scene.canvas.line(block.point(t, 0.5 + 0.2 * np.sin(4 * t + rng.uniform(0, 6))), 2.4, GRAVEL, ROAD)
    clearings = rng.uniform(0.15, 0.85, (2, 2))
    width_m, height_m = block.size_m()
    uv = rng.uniform(0.015, 0.985, (int(width_m * height_m / 13), 2))
    gap = np.linalg.norm(uv[:, None] - clearings, axis=-1).min(axis=1)
    uv = uv[gap > 0.13 + rng.normal(0, 0.015, len(uv))]
    sizes = rng.choice([1, 2, 3, 4, 5], len(uv), p=[0.1, 0.2, 0.3, 0.25, 0.15])
    for at, size in zip(block.point(uv[:, 0], uv[:, 1]), sizes, strict=True):
        scene.plant(rng, at, int(size))
    for _ in range(scene.crowd(rng, 8)):
        scene.stroll(rng, block.point(*clearings[int(rng.integers(2))]), 6)


def fields(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds two to four strips of farmland with grass between them, sometimes a barn, a few trees on the edges."""
    strips = int(rng.integers(2, 5))
    edges = np.linspace(0.015, 0.985, strips + 1) + np.r_[0, rng.normal(0, 0.03, strips - 1), 0]
    lying = rng.random() < 0.5
    angle = block.angle(0.5) + (0.0 if lying else np.pi / 2)
    barn = int(rng.integers(strips)) if rng.random() < 0.6 else -1
    for k in range(strips):
        low, high = edges[k] + 0.008, edges[k + 1] - 0.008
        part = block.part(0.015, low, 0.985, high) if lying else block.part(low, 0.015, high, 0.985)
        if rng.random() < 0.86:
            paint_field(scene.canvas, rng, scene.appearance, part, angle + rng.normal(0, 0.02))
        else:
            paint_meadow(scene.canvas, rng, scene.appearance, part, angle, mown=bool(rng.random() < 0.5))
        middle = (low + high) / 2
        if k == barn:
            near = rng.choice([0.13, 0.87])
            spot = block.point(near, middle) if lying else block.point(middle, near)
            yard = box(spot, angle, 24 * PX_PER_M, 19 * PX_PER_M)
            scene.canvas.paint(yard, GRAVEL, ROAD, 0.6, 0.4)
            scene.build(
                rng,
                Building(
                    spot,
                    angle,
                    rng.uniform(13, 18),
                    rng.uniform(8, 11),
                    6,
                    "gabled",
                    roof_colour(rng, scene.appearance),
                ),
            )
            aside = np.array([-np.sin(angle), np.cos(angle)]) * 7.3 * PX_PER_M
            for shift in (-6.0, 0.5):
                at = spot + aside + np.array([np.cos(angle), np.sin(angle)]) * shift * PX_PER_M
                scene.parked.append((float(at[0]), float(at[1]), angle))
            for _ in range(3):
                scene.stroll(rng, spot - aside, 4)
        for _ in range(int(rng.integers(0, 6))):
            along = rng.uniform(0.03, 0.97)
            scene.plant(
                rng, block.point(along, low) if lying else block.point(low, along), int(rng.integers(1, 5))
            )
        for _ in range(scene.crowd(rng, 5)):
            uv = (rng.uniform(0.1, 0.9), middle) if lying else (middle, rng.uniform(0.1, 0.9))
            scene.stroll(rng, block.point(*uv), 5)


def orchard(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds an orchard: fruit trees in rows on mown grass, with a dirt track."""
    width_m, height_m = block.size_m()
    size = int(rng.integers(1, 4))
    pitch = (4.4, 5.6, 7.2)[size - 1]
    scene.canvas.line(block.point([0.5, 0.5], [0, 1]), 2.6, GRAVEL, ROAD)
    for u in np.arange(0.04, 0.97, pitch / width_m):
        for v in np.arange(0.04, 0.97, pitch * 0.9 / height_m):
            if abs(u - 0.5) > 3 / width_m and rng.random() < 0.93:
                scene.plant(rng, block.point(u, v) + rng.normal(0, 3, 2), size)
    for _ in range(scene.crowd(rng, 8)):
        scene.stroll(rng, block.point(0.5, rng.uniform(0, 1)), 3)


def river_bank(scene: Scene, block: Block, rng: np.random.Generator, layout: PlaceLayout) -> None:
    """Adds trees, bushes and bathers on both sides of the river."""
    reach = layout.river_half_m * PX_PER_M
    for _ in range(6):
        edge = block.point(rng.uniform(0.02, 0.98), rng.uniform(0.1, 0.9))
        gap = (edge[0] - layout.river.at(edge[1]) + MAP_PX / 2) % MAP_PX - MAP_PX / 2
        radius = min(abs(gap) - reach - 8 * PX_PER_M, 11 * PX_PER_M)
        if radius > 3 * PX_PER_M:
            paint_meadow(scene.canvas, rng, scene.appearance, blob(rng, edge, radius), 0.0, mown=False)
    for _ in range(int(rng.integers(40, 70))):
        at = block.point(rng.uniform(0.02, 0.98), rng.uniform(0.02, 0.98))
        gap = (at[0] - layout.river.at(at[1]) + MAP_PX / 2) % MAP_PX - MAP_PX / 2
        if abs(gap) > reach + 7 * PX_PER_M:
            scene.plant(rng, at, int(rng.integers(0, 6)))
    for side in (-1, 1):
        for _ in range(scene.crowd(rng, 34)):
            s = block.point(0.5, rng.uniform(0.06, 0.94))[1]
            at, _ = layout.river.place(s, side * (reach + rng.uniform(1.8, 5.5) * PX_PER_M))
            scene.stroll(rng, at, 0.8)
    if rng.random() < 0.5:
        spot = block.point(0.1, rng.uniform(0.2, 0.8))
        scene.build(
            rng,
            Building(
                spot, block.angle(0.5) + np.pi / 2, 8, 6, 4, "hipped", roof_colour(rng, scene.appearance)
            ),
        )
