"""Open ground: meadows, ploughed and sown fields, ponds."""

from __future__ import annotations

import cv2
import numpy as np

from ...core.arrays import Points
from .appearance import Appearance, Bgr, blend, scaled
from .canvas import MAP_PX, PX_PER_M, Canvas
from .labels import FIELD, GRASS, WATER
from .noise import enlarge, ramp

_CROPS: tuple[Bgr, ...] = (
    (46, 108, 84),
    (52, 132, 112),
    (60, 150, 168),
    (40, 90, 66),
    (92, 168, 190),
    (74, 110, 66),
)

_FLOWERS: tuple[Bgr, ...] = ((90, 200, 214), (206, 214, 216), (176, 120, 150), (84, 96, 190))


def paint_grass(canvas: Canvas, appearance: Appearance) -> None:
    """Covers the whole map with grass: large dry and lush areas, tufts, blades."""
    noise = canvas.noise
    repeats = (MAP_PX // noise.mottle.shape[0],) * 2
    large = enlarge(noise.cloud, MAP_PX)
    tiled = cv2.addWeighted(
        np.tile(noise.mottle, repeats), 0.5, np.tile(noise.grain, repeats), 0.38, 128 * 0.12
    )
    mixed = cv2.addWeighted(large, 0.55, tiled, 0.75, -128 * 0.3)
    canvas.colour[:] = cv2.applyColorMap(mixed, appearance.grass)
    canvas.labels[:] = GRASS


def paint_meadow(
    canvas: Canvas,
    rng: np.random.Generator,
    appearance: Appearance,
    outline_xy: Points,
    angle: float,
    mown: bool,
) -> None:
    """Paints a meadow: mown in strips along ``angle``, or tall with flowers. It only replaces grass."""
    tone = rng.uniform(0.96, 1.04, 3) * rng.uniform(0.86, 1.1)
    table = np.clip(appearance.grass * tone, 0, 255).astype(np.uint8)
    with canvas.around(outline_xy) as patch:
        mask = patch.mask(outline_xy)
        height, width = mask.shape
        index = canvas.texture(patch, 0.55, 0.5, 0.8).astype(np.float32)
        if mown:
            x = np.arange(patch.x0, patch.x0 + width, dtype=np.float32)[None, :]
            y = np.arange(patch.y0, patch.y0 + height, dtype=np.float32)[:, None]
            across = (x * np.float32(-np.sin(angle)) + y * np.float32(np.cos(angle))) / np.float32(PX_PER_M)
            index += 15 * np.sign(np.sin(across * np.float32(2 * np.pi / 3.6)))
        colours = np.asarray(cv2.applyColorMap(np.clip(index, 0, 255).astype(np.uint8), table), np.uint8)
        if not mown:
            flower = _FLOWERS[int(rng.integers(len(_FLOWERS)))]
            bloom = canvas.texture(patch, 0.6, 0.9, 0.9) > 228
            colours[bloom] = (0.4 * colours[bloom] + 0.6 * np.asarray(flower)).astype(np.uint8)
        mask[patch.labels != GRASS] = 0
        patch.fill(mask, colours, GRASS)


def paint_field(
    canvas: Canvas, rng: np.random.Generator, appearance: Appearance, outline_xy: Points, angle: float
) -> None:
    """Paints a field in furrows along ``angle``, bare or with a crop in rows, and with the tracks of a tractor."""
    style = str(rng.choice(["ploughed", "sown", "rows", "stubble", "fallow"], p=[0.28, 0.2, 0.24, 0.18, 0.1]))
    tone = rng.uniform(0.84, 1.12)
    b, g, r = (c * tone * rng.uniform(0.95, 1.05) for c in appearance.soil_bgr)
    dark, soil, pale = (b * 0.66, g * 0.64, r * 0.64), (b, g, r), (b * 1.32, g * 1.32, r * 1.3)
    crop = _CROPS[int(rng.integers(len(_CROPS)))]
    straw = (104.0, 160.0, 186.0)
    table, period_m, depth = {
        "ploughed": (ramp(dark, soil, pale), 0.55, 70.0),
        "sown": (ramp(dark, soil, soil, blend(soil, crop, 0.6)), 0.9, 60.0),
        "rows": (ramp(dark, soil, blend(soil, crop, 0.55), crop), 1.3, 88.0),
        "stubble": (ramp(soil, blend(soil, straw, 0.6), straw), 0.75, 46.0),
        "fallow": (ramp(blend(dark, soil, 0.4), soil, blend(soil, pale, 0.5), pale), 1.6, 26.0),
    }[style]
    with canvas.around(outline_xy) as patch:
        mask = patch.mask(outline_xy)
        height, width = mask.shape
        x = np.arange(patch.x0, patch.x0 + width, dtype=np.float32)[None, :]
        y = np.arange(patch.y0, patch.y0 + height, dtype=np.float32)[:, None]
        cloud = canvas.noise.crop(canvas.noise.cloud, patch.x0, patch.y0, width, height)
        across = (x * np.float32(-np.sin(angle)) + y * np.float32(np.cos(angle))) / np.float32(PX_PER_M)
        across += cloud * np.float32(0.006)
        stripes = np.sin(across * np.float32(2 * np.pi / period_m)) * np.float32(depth)
        wheels = np.abs(np.mod(across, np.float32(12.0)) - 6.0)
        stripes[(wheels > 0.75) & (wheels < 1.05)] -= 46
        index = canvas.texture(patch, 0.55, 0.4, 0.65).astype(np.float32) + stripes
        colours = cv2.applyColorMap(np.clip(index, 0, 255).astype(np.uint8), table)
        patch.fill(mask, np.asarray(colours, np.uint8), FIELD)


def blob(rng: np.random.Generator, centre_xy: Points, radius_px: float, roughness: float = 0.22) -> Points:
    """Returns a rounded irregular outline."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.ones(64)
    for k in range(2, 6):
        radius += roughness / k * rng.uniform(0.4, 1.4) * np.sin(k * turn + rng.uniform(0, 2 * np.pi))
    return np.asarray(centre_xy + radius_px * radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1))


def paint_pond(
    canvas: Canvas, rng: np.random.Generator, appearance: Appearance, centre_xy: Points, radius_px: float
) -> None:
    """Paints still water, darker in the middle, with a muddy rim."""
    outline = blob(rng, centre_xy, radius_px)
    rim = centre_xy + (outline - centre_xy) * (1 + 9 / radius_px)
    mud = ramp(*(scaled(appearance.soil_bgr, factor) for factor in (0.6, 0.85, 1.1)))
    canvas.paint(rim, mud, FIELD)
    with canvas.around(outline) as patch:
        mask = patch.mask(outline)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3) / np.float32(60)
        index = 205 - 140 * np.minimum(depth, 1) + (canvas.texture(patch, 0.35, 0.1).astype(np.float32) - 128)
        colours = cv2.applyColorMap(np.clip(index, 0, 255).astype(np.uint8), appearance.water)
        patch.fill(mask, np.asarray(colours, np.uint8), WATER)
