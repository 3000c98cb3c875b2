"""The world: the finished map of a place, with its moving cars and people."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from . import buildings, fittings, trees
from .appearance import Appearance
from .canvas import MAP_PX, Canvas
from .layout import draw_layout
from .movers import Life
from .noise import Gray, NoiseBank
from .ribbon import paint_river, paint_streets
from .scene import Scene
from .sprites import SpriteBank
from .terrain import paint_grass
from .zones import fill_blocks

LIGHT_CELL_PX = 4
"""The side of a cell of ``AerialWorld.light`` in map pixels."""


class AerialWorld:
    """A procedural place of 328 x 328 m with connected edges, and a label for every pixel.

    Everything depends only on the seed. Building needs a few seconds.

    Attributes:
        colour: uint8 [4096, 4096, 3] BGR, lit and with shadows, without cars and people.
        labels: uint8 [4096, 4096], ids of ``AERIAL_LABELS``, without cars and people.
        light: uint8 [1024, 1024], 255 in the sun, less in shadow; one value for 4 x 4 map pixels.
        life: cars and people as functions of time.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
        self.appearance = Appearance.draw(rng)
        layout = draw_layout(rng)
        canvas = Canvas(NoiseBank.make(rng))
        paint_grass(canvas, self.appearance)
        paint_river(canvas, layout, self.appearance)
        paint_streets(canvas, rng, layout, self.appearance)
        scene = Scene(canvas, self.appearance, trees.Orchard(rng, self.appearance))
        fill_blocks(scene, layout, rng)
        self._raise(canvas, scene)
        self.colour = canvas.colour
        self.labels = canvas.labels
        self.light = canvas.light[::LIGHT_CELL_PX, ::LIGHT_CELL_PX].copy()
        self.life = Life.draw(rng, layout, scene.parked, scene.strolls, self.appearance.crowd)
        self.sprites = SpriteBank(rng)

    def _raise(self, canvas: Canvas, scene: Scene) -> None:
        """Adds upright objects: shadows on the ground, then roofs, then tree shadows on roofs, and crowns last."""
        for building in scene.buildings:
            buildings.cast_shadow(canvas, building, self.appearance)
        for building in sorted(scene.buildings, key=lambda b: b.height_m):
            buildings.paint_roof(canvas, building, self.appearance)
            fittings.furnish(canvas, building, self.appearance)
        standing = sorted(scene.trees, key=lambda tree: tree.height_m)
        for tree in standing:
            trees.cast_shadow(canvas, tree, self.appearance)
        canvas.light = _soften(canvas.light)
        _apply_light(canvas.colour, canvas.light, self.appearance)
        for tree in standing:
            trees.paint_tree(canvas, tree)


def _soften(light: Gray) -> Gray:
    """Blurs shadow edges (the sun is not a point), also across the seams."""
    padded = cv2.copyMakeBorder(light, 4, 4, 4, 4, cv2.BORDER_WRAP)
    return np.ascontiguousarray(cv2.blur(padded, (5, 5))[4 : MAP_PX + 4, 4 : MAP_PX + 4])


def _apply_light(colour: npt.NDArray[np.uint8], light: Gray, appearance: Appearance) -> None:
    """Multiplies the colours by the light: bluish and dark in shadow."""
    share = np.arange(256) / 255
    tables = [np.rint(255 * (shade + (1 - shade) * share)).astype(np.uint8) for shade in appearance.shade_bgr]
    gain = cv2.merge([cv2.LUT(light, table) for table in tables])
    cv2.multiply(colour, gain, dst=colour, scale=1 / 255)
