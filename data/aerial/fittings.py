"""Fittings of roofs: chimneys, roof windows, solar panels, ducts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Points
from .appearance import Appearance, Bgr
from .buildings import Building
from .canvas import PX_PER_M, Canvas, box, swept
from .labels import ROOF


@dataclass(frozen=True)
class _Deck:
    """A roof that carries fittings; places and sizes are in metres along and across it, from its middle."""

    canvas: Canvas
    building: Building

    def outline(self, a: float, b: float, length_m: float, width_m: float) -> Points:
        angle = self.building.angle
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        centre = self.building.centre_xy + (along * a + across * b) * PX_PER_M
        return box(centre, angle, length_m * PX_PER_M, width_m * PX_PER_M)

    def panel(self, outline_xy: Points, colour_bgr: Bgr) -> None:
        """Adds a flat object."""
        with self.canvas.around(outline_xy) as patch:
            patch.colour[patch.mask(outline_xy) > 0] = np.asarray(colour_bgr, np.uint8)

    def block(self, outline_xy: Points, colour_bgr: Bgr, fall_px: Points) -> None:
        """Adds an upright object, with its shadow on the roof."""
        shadow = swept(outline_xy, fall_px)
        with self.canvas.around(shadow) as patch:
            shaded = (patch.mask(shadow) > 0) & (patch.labels == ROOF)
            patch.colour[shaded] = (patch.colour[shaded] * 0.5).astype(np.uint8)
        self.panel(outline_xy, colour_bgr)


def furnish(canvas: Canvas, building: Building, appearance: Appearance) -> None:
    """Adds fittings to a painted roof."""
    if building.kind == "awning" or building.length_m < 6:
        return
    rng = np.random.Generator(np.random.PCG64(building.detail))
    deck = _Deck(canvas, building)
    half_l, half_w = building.length_m / 2, building.width_m / 2
    fall = appearance.shadow_xy * PX_PER_M
    if building.kind == "flat":
        for _ in range(int(building.length_m * building.width_m / 55)):
            a, b = rng.uniform(-0.75, 0.75) * half_l, rng.uniform(-0.7, 0.7) * half_w
            grey = rng.uniform(150, 214)
            outline = deck.outline(a, b, rng.uniform(0.9, 2.2), rng.uniform(0.9, 2.2))
            deck.block(outline, (grey, grey, grey * 0.98), fall * 0.7)
        return
    chimney = deck.outline(rng.uniform(-0.6, 0.6) * half_l, rng.uniform(-0.35, 0.35) * half_w, 0.9, 0.7)
    deck.block(chimney, (92, 100, 134), fall * 1.1)
    across = np.array([-np.sin(building.angle), np.cos(building.angle)])
    sunny = 1.0 if float(across @ appearance.to_sun[:2]) > 0 else -1.0
    kind = rng.random()
    if kind < 0.3:
        _solar(deck, rng.uniform(-0.1, 0.1) * half_l, sunny * half_w * 0.5, half_l * 1.1, half_w * 0.62)
    elif kind < 0.7:
        for a in np.linspace(-0.55, 0.55, int(rng.integers(2, 4))):
            deck.panel(deck.outline(a * half_l, -sunny * half_w * 0.5, 0.8, 1.1), (196, 190, 178))
            deck.panel(deck.outline(a * half_l, -sunny * half_w * 0.5, 0.55, 0.85), (116, 98, 78))


def _solar(deck: _Deck, a: float, b: float, length_m: float, width_m: float) -> None:
    columns, rows = max(1, int(length_m / 1.1)), max(1, int(width_m / 1.5))
    for i in range(columns):
        for j in range(rows):
            place = a + (i - (columns - 1) / 2) * 1.1, b + (j - (rows - 1) / 2) * 1.5
            deck.panel(deck.outline(*place, 1.0, 1.4), (92 + 6 * ((i + j) % 2), 58, 38))
