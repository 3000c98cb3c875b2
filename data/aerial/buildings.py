"""Roofs: gabled, hipped and flat, lit by the sun face by face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from .appearance import Appearance, Bgr
from .canvas import PX_PER_M, Canvas, box, swept
from .labels import ROOF

_SHADOW_LIGHT = 30

Plane = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Building:
    """One roof. Sizes are metres; ``angle`` is the direction of its length. ``kind``: gabled, hipped, flat, awning.

    ``detail`` seeds the pitch of its roof and what stands on it.
    """

    centre_xy: Points
    angle: float
    length_m: float
    width_m: float
    height_m: float
    kind: str
    colour_bgr: Bgr
    detail: int = 0

    @property
    def outline(self) -> Points:
        """Returns the four corners."""
        return box(self.centre_xy, self.angle, self.length_m * PX_PER_M, self.width_m * PX_PER_M)


def cast_shadow(canvas: Canvas, building: Building, appearance: Appearance) -> None:
    """Darkens the light where the building is between ground and sun."""
    fall = appearance.shadow_xy * building.height_m * PX_PER_M
    shadow = swept(building.outline, fall)
    with canvas.around(shadow) as patch:
        patch.light[patch.mask(shadow) > 0] = _SHADOW_LIGHT


def paint_roof(canvas: Canvas, building: Building, appearance: Appearance) -> None:
    """Paints the bare roof and its label, in full light."""
    outline = building.outline
    with canvas.around(outline) as patch:
        mask = patch.mask(outline)
        height, width = mask.shape
        dx = np.arange(width, dtype=np.float32)[None, :] + np.float32(patch.x0 - building.centre_xy[0])
        dy = np.arange(height, dtype=np.float32)[:, None] + np.float32(patch.y0 - building.centre_xy[1])
        cos, sin = (
            np.float32(np.cos(building.angle) / PX_PER_M),
            np.float32(np.sin(building.angle) / PX_PER_M),
        )
        a: Plane = dx * cos + dy * sin  # metres along
        b: Plane = dy * cos - dx * sin  # metres across
        noise: Plane = canvas.texture(patch, 0.45, 0.45, 0.25).astype(np.float32) / np.float32(
            128
        ) - np.float32(1)
        tone = _TONES[building.kind](building, appearance, a, b, noise)
        colours = tone[..., None] * np.asarray(building.colour_bgr, np.float32)
        if building.kind == "awning":
            white = np.mod(a + 20, 0.8) < 0.4
            colours[white] = tone[white][:, None] * np.array((214, 220, 222), np.float32)
        patch.fill(mask, np.clip(colours, 0, 255).astype(np.uint8), ROOF)
        patch.light[mask > 0] = 255


def _lambert(appearance: Appearance, normal_a: float, normal_b: float, angle: float, pitch: float) -> float:
    """Returns the brightness of a face tilted towards (a, b), as a share of that of level ground."""
    nx = normal_a * np.cos(angle) - normal_b * np.sin(angle)
    ny = normal_a * np.sin(angle) + normal_b * np.cos(angle)
    lit = (
        np.sin(pitch) * (nx * appearance.to_sun[0] + ny * appearance.to_sun[1])
        + np.cos(pitch) * appearance.to_sun[2]
    )
    return float(0.42 + 0.58 * max(lit, 0.0) / appearance.to_sun[2])


def _pitched(
    building: Building, appearance: Appearance, a: Plane, b: Plane, noise: Plane, hipped: bool
) -> Plane:
    pitch = np.radians(34 + building.detail % 9)
    shade = [
        min(_lambert(appearance, na, nb, building.angle, pitch), 1.3)
        for na, nb in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    eave = building.width_m / 2 - np.abs(b)
    gable = building.length_m / 2 - np.abs(a)
    face = np.where(b > 0, shade[0], shade[1]).astype(np.float32)
    rise = eave
    if hipped:
        end = gable < eave
        face = np.where(end, np.where(a > 0, shade[2], shade[3]), face).astype(np.float32)
        rise = np.minimum(eave, gable)
        lateral = np.where(end, b, a)
    else:
        lateral = np.broadcast_to(a, rise.shape)
    course = np.floor(rise / 0.34)
    tiles = np.mod(rise, 0.34) < 0.09
    per_tile = np.sin(np.floor(lateral / 0.4) * 12.9898 + course * 78.233) * 43.7
    tone = face * (1.0 + 0.13 * noise + 0.10 * (per_tile - np.floor(per_tile) - 0.5))
    tone = np.where(tiles, tone * 0.86, tone)
    crest = np.abs(b) < 0.14
    if hipped:
        crest = (crest & (gable > eave - 0.2)) | (np.abs(gable - eave) < 0.14)
    tone = np.where(crest, tone * 0.55 + 0.6, tone)
    gutter = np.minimum(eave, gable) < 0.16
    return np.where(gutter, tone * 0.62, tone).astype(np.float32)


def _gabled(building: Building, appearance: Appearance, a: Plane, b: Plane, noise: Plane) -> Plane:
    return _pitched(building, appearance, a, b, noise, hipped=False)


def _hipped(building: Building, appearance: Appearance, a: Plane, b: Plane, noise: Plane) -> Plane:
    return _pitched(building, appearance, a, b, noise, hipped=True)


def _flat(building: Building, appearance: Appearance, a: Plane, b: Plane, noise: Plane) -> Plane:
    edge = np.minimum(building.width_m / 2 - np.abs(b), building.length_m / 2 - np.abs(a))
    tone = 1 + 0.14 * noise
    tone = np.where(np.abs(np.mod(a, 4.0) - 2.0) < 0.06, tone * 0.88, tone)  # seams of the felt
    to_sun = appearance.to_sun[:2] @ np.array([[np.cos(building.angle), -np.sin(building.angle)],
                                         [np.sin(building.angle), np.cos(building.angle)]])  # fmt: skip
    reach = 0.45 + 0.5  # the parapet's shadow falls inwards on the sunny sides
    shaded = ((building.length_m / 2 - a * np.sign(to_sun[0]) < reach) & (abs(to_sun[0]) > 0.15)) | (
        (building.width_m / 2 - b * np.sign(to_sun[1]) < reach) & (abs(to_sun[1]) > 0.15)
    )
    tone = np.where(shaded, tone * 0.62, tone)
    return np.where(edge < 0.42, 1.18 + 0.08 * noise, tone).astype(np.float32)


def _awning(building: Building, appearance: Appearance, a: Plane, b: Plane, noise: Plane) -> Plane:
    shade = [_lambert(appearance, 0, nb, building.angle, np.radians(20)) for nb in (1, -1)]
    return np.where(b > 0, shade[0], shade[1]).astype(np.float32) * (1 + 0.06 * noise)


_TONES = {"gabled": _gabled, "hipped": _hipped, "flat": _flat, "awning": _awning}
