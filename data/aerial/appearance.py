"""The style of a place: season, hour, soil, building style."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .noise import Ramp, ramp

Bgr = tuple[float, float, float]

_GRASS: dict[str, tuple[Bgr, ...]] = {
    "spring": ((38, 84, 66), (52, 112, 88), (70, 138, 118), (84, 150, 140)),
    "summer": ((40, 78, 66), (54, 102, 90), (74, 124, 118), (104, 148, 152)),
    "dry": ((50, 98, 82), (68, 126, 110), (86, 150, 134), (110, 172, 162)),
    "autumn": ((40, 80, 68), (54, 106, 88), (68, 126, 106), (88, 146, 132)),
}
_TREES: dict[str, tuple[Bgr, ...]] = {
    "spring": ((36, 92, 58), (44, 106, 74), (34, 74, 48), (52, 118, 96), (38, 84, 60), (150, 158, 190)),
    "summer": ((32, 76, 48), (36, 84, 60), (28, 62, 42), (44, 90, 72), (38, 70, 58)),
    "dry": ((40, 76, 58), (44, 80, 70), (34, 62, 50), (56, 90, 86), (48, 78, 80)),
    "autumn": ((38, 74, 56), (40, 98, 134), (38, 74, 124), (52, 122, 150), (40, 84, 84), (36, 66, 50)),
}
_SOILS: tuple[Bgr, ...] = ((68, 92, 118), (62, 86, 128), (84, 104, 122), (58, 74, 94), (96, 128, 156))
_ROOFS: dict[str, tuple[Bgr, ...]] = {
    "terracotta": ((74, 98, 172), (66, 88, 152), (88, 116, 184), (70, 84, 130)),
    "slate": ((98, 92, 86), (84, 80, 76), (116, 106, 96), (88, 88, 104)),
    "mixed": ((70, 90, 160), (96, 92, 90), (74, 84, 104), (120, 128, 132), (108, 92, 76), (72, 96, 84)),
}


def blend(first: Bgr, second: Bgr, weight: float) -> Bgr:
    """Returns a colour between two; weight 1 gives the second."""
    b, g, r = (p * (1 - weight) + q * weight for p, q in zip(first, second, strict=True))
    return b, g, r


def scaled(colour: Bgr, factor: float) -> Bgr:
    """Returns a darker or lighter colour, at most 255."""
    b, g, r = (min(c * factor, 255.0) for c in colour)
    return b, g, r


@dataclass(frozen=True)
class Appearance:
    """The style of one place. Colours are BGR, 0 to 255.

    Attributes:
        shadow_xy: the offset of a shadow, in map units per unit of height.
        to_sun: unit vector to the sun (x right, y down the map, z up).
        shade_bgr: the share of each channel in shadow, 0 to 1.
        sun_bgr: the gain of each channel in the light of this hour.
    """

    season: str
    grass: Ramp
    tree_bgr: tuple[Bgr, ...]
    soil_bgr: Bgr
    roof_bgr: tuple[Bgr, ...]
    water: Ramp
    shadow_xy: npt.NDArray[np.float64]
    to_sun: npt.NDArray[np.float64]
    shade_bgr: Bgr
    sun_bgr: Bgr
    crowd: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Appearance:
        """Draws a style."""
        season = str(rng.choice(["spring", "summer", "dry", "autumn"], p=[0.3, 0.35, 0.15, 0.2]))
        elevation = np.radians(rng.uniform(28, 66))
        azimuth = rng.uniform(0, 2 * np.pi)
        to_sun = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        warmth = 1 - (np.degrees(elevation) - 28) / 38
        depth = rng.uniform(0.44, 0.62)
        waters = (
            ramp((92, 84, 50), (104, 96, 58), (122, 118, 80)),
            ramp((66, 72, 52), (78, 86, 64), (96, 108, 88)),
            ramp((118, 104, 58), (134, 120, 70), (158, 150, 100)),
        )
        jitter = rng.uniform(0.93, 1.07, 3)
        grass = tuple((c[0] * jitter[0], c[1] * jitter[1], c[2] * jitter[2]) for c in _GRASS[season])
        return cls(
            season=season,
            grass=ramp(*grass),
            tree_bgr=_TREES[season],
            soil_bgr=_SOILS[int(rng.integers(len(_SOILS)))],
            roof_bgr=_ROOFS[str(rng.choice(list(_ROOFS), p=[0.35, 0.2, 0.45]))],
            water=waters[int(rng.integers(len(waters)))],
            shadow_xy=-to_sun[:2] / to_sun[2],
            to_sun=to_sun,
            shade_bgr=(depth + 0.12, depth + 0.03, depth - 0.02),
            sun_bgr=(1.04 - 0.18 * warmth, 1.04 - 0.06 * warmth, 1.04 + 0.05 * warmth),
            crowd=float(rng.uniform(0.8, 1.4)),
        )
