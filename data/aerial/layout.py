"""The layout of a place: periodic curves for streets and river, and the blocks between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.arrays import Doubles, Points
from .canvas import MAP_PX, PX_PER_M

_HARMONICS = np.array([1.0, 2.0, 3.0])


@dataclass(frozen=True)
class Curve:
    """A line across the map that continues at the seam: cross = base + waves(s), for s along it.

    A *vertical* curve gives x for every y; a horizontal one gives y for every x.
    """

    vertical: bool
    base: float
    amplitudes: tuple[float, ...]
    phases: tuple[float, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, vertical: bool, base: float, bend: float) -> Curve:
        """Draws three waves; ``bend`` in pixels is the size of the longest."""
        sizes = rng.uniform(0.3, 1.0, 3) * bend / np.array([1.0, 2.2, 4.0])
        return cls(vertical, base, tuple(map(float, sizes)), tuple(map(float, rng.uniform(0, 2 * np.pi, 3))))

    def at(self, s: npt.ArrayLike) -> Doubles:
        """Returns the cross coordinate at ``s``, in pixels."""
        turn = (2 * np.pi / MAP_PX) * np.asarray(s, np.float64)
        waves = np.sin(turn[..., None] * _HARMONICS + self.phases)
        return np.asarray(self.base + waves @ np.asarray(self.amplitudes))

    def slope(self, s: npt.ArrayLike) -> Doubles:
        """Returns d cross / d s."""
        turn = (2 * np.pi / MAP_PX) * np.asarray(s, np.float64)
        steepness = _HARMONICS * self.amplitudes * (2 * np.pi / MAP_PX)
        return np.asarray(np.cos(turn[..., None] * _HARMONICS + self.phases) @ steepness)

    def place(self, s: npt.ArrayLike, offset_px: npt.ArrayLike = 0.0) -> tuple[Points, Doubles]:
        """Returns points xy [..., 2] at ``s``, moved sideways by an offset, and the direction there in radians."""
        s = np.asarray(s, np.float64)
        slope = self.slope(s)
        stretch = np.hypot(1, slope)
        cross = self.at(s) + np.asarray(offset_px) / stretch
        along = s - np.asarray(offset_px) * slope / stretch
        if self.vertical:
            return np.stack([cross, along], -1), np.arctan2(1.0, slope)
        return np.stack([along, cross], -1), np.arctan2(slope, 1.0)

    def crossing(self, other: Curve) -> float:
        """Returns the ``s`` at which this curve meets one of the other direction."""
        s = other.base
        for _ in range(20):
            s = float(other.at(self.at(s)))
        return s


@dataclass(frozen=True)
class Street:
    """A road along a curve. ``kind``: street (kerbs and pavements), country (verges), dirt (ruts).

    Widths are in metres; ``pavement_m`` is that of one side.
    """

    curve: Curve
    kind: str
    half_m: float
    pavement_m: float

    @property
    def reach_px(self) -> float:
        """The distance from the middle to private ground."""
        return (self.half_m + self.pavement_m) * PX_PER_M


@dataclass(frozen=True)
class Block:
    """The ground between four streets. ``u`` runs from west to east, ``v`` from north to south, both 0 to 1."""

    west: Street
    east: Street
    north: Street
    south: Street
    wrap_x: float
    wrap_y: float

    def point(self, u: npt.ArrayLike, v: npt.ArrayLike) -> Points:
        """Returns map coordinates xy [..., 2], which may be beyond the seam."""
        u, v = np.broadcast_arrays(np.asarray(u, np.float64), np.asarray(v, np.float64))
        x = np.full(u.shape, self.west.curve.base + 300.0)
        y = np.full(u.shape, self.north.curve.base + 300.0)
        for _ in range(4):
            top = self.north.curve.at(x) + self.north.reach_px
            bottom = self.south.curve.at(x) + self.wrap_y - self.south.reach_px
            y = top + (bottom - top) * v
            left = self.west.curve.at(y) + self.west.reach_px
            right = self.east.curve.at(y) + self.wrap_x - self.east.reach_px
            x = left + (right - left) * u
        return np.stack([x, y], -1)

    def size_m(self) -> tuple[float, float]:
        """Returns width and height through the middle, in metres."""
        a, b, c, d = self.point([0, 1, 0.5, 0.5], [0.5, 0.5, 0, 1])
        return float(np.hypot(*(b - a)) / PX_PER_M), float(np.hypot(*(d - c)) / PX_PER_M)

    def part(self, u0: float = 0.0, v0: float = 0.0, u1: float = 1.0, v1: float = 1.0) -> Points:
        """Returns the outline of a part of the block."""
        t = np.linspace(0, 1, 13)[:-1]
        us = np.concatenate([u0 + (u1 - u0) * t, np.full(12, u1), u1 + (u0 - u1) * t, np.full(12, u0)])
        vs = np.concatenate([np.full(12, v0), v0 + (v1 - v0) * t, np.full(12, v1), v1 + (v0 - v1) * t])
        return self.point(us, vs)

    def angle(self, v: float) -> float:
        """Returns the direction of a line of constant v through the middle, in radians."""
        a, b = self.point([0.4, 0.6], [v, v])
        return float(np.arctan2(b[1] - a[1], b[0] - a[0]))


@dataclass(frozen=True)
class PlaceLayout:
    """The layout of a place. ``blocks[j][i]`` is east of vertical street i and south of horizontal street j."""

    vertical: tuple[Street, ...]
    horizontal: tuple[Street, ...]
    river: Curve
    river_column: int
    river_half_m: float
    blocks: tuple[tuple[Block, ...], ...]

    @property
    def streets(self) -> tuple[Street, ...]:
        """All streets; those from north to south come first."""
        return self.vertical + self.horizontal


def _street(rng: np.random.Generator, vertical: bool, base: float, kind: str) -> Street:
    half, pavement = {
        "street": (rng.uniform(3.2, 4.2), rng.uniform(1.8, 2.6)),
        "country": (rng.uniform(2.8, 3.4), 0.7),
        "dirt": (rng.uniform(1.9, 2.5), 0.4),
    }[kind]
    curve = Curve.draw(rng, vertical, base, bend=110.0)
    return Street(curve, kind, float(half), float(pavement))


def draw_layout(rng: np.random.Generator) -> PlaceLayout:
    """Draws four streets from north to south, three or four from west to east, and a river in one column."""
    counts = (4, int(rng.integers(3, 5)))
    rows: list[list[Street]] = []
    for vertical, count in zip((True, False), counts, strict=True):
        kinds = (
            ["street", "street", "country", "dirt"] if rng.random() < 0.6 else ["street"] * 3 + ["country"]
        )
        order = rng.permutation(kinds)[:count]
        shift = rng.uniform(0, 300)
        step = MAP_PX / count
        rows.append(
            [
                _street(rng, vertical, shift + step * k + rng.uniform(-60, 60), str(order[k]))
                for k in range(count)
            ]
        )
    vertical_streets, horizontal_streets = rows
    column = int(rng.integers(counts[0]))
    blocks = tuple(
        tuple(
            Block(
                west=vertical_streets[i],
                east=vertical_streets[(i + 1) % counts[0]],
                north=horizontal_streets[j],
                south=horizontal_streets[(j + 1) % counts[1]],
                wrap_x=float(MAP_PX * (i + 1 == counts[0])),
                wrap_y=float(MAP_PX * (j + 1 == counts[1])),
            )
            for i in range(counts[0])
        )
        for j in range(counts[1])
    )
    west, east = blocks[0][column].west.curve, blocks[0][column].east.curve
    middle = (west.base + east.base + blocks[0][column].wrap_x) / 2
    mean = tuple((a + b) / 2 for a, b in zip(west.amplitudes, east.amplitudes, strict=True))
    river = Curve(True, middle, (mean[0] + 20, mean[1] + 12, mean[2] + 14), west.phases)
    return PlaceLayout(
        tuple(vertical_streets), tuple(horizontal_streets), river, column, float(rng.uniform(8.5, 14)), blocks
    )
