"""Streets and river, painted along a curve in the curve's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from .appearance import Appearance, Bgr, blend
from .canvas import MAP_PX, PX_PER_M, Canvas, box
from .labels import FIELD, ROAD, WATER
from .layout import Curve, PlaceLayout, Street
from .noise import TILE_PX, Gray, Ramp, ramp, spread

_ASPHALT = ramp((74, 72, 70), (98, 96, 94), (116, 114, 112), (132, 131, 130))
_PAVEMENT = ramp((112, 118, 122), (136, 142, 146), (160, 166, 170))
_GRAVEL = ramp((92, 108, 122), (120, 138, 152), (158, 174, 186))
_MARKING = ramp((178, 184, 186), (206, 212, 214), (228, 234, 236))


@dataclass
class Ribbon:
    """The strip of the map within a distance of a curve; row s goes straight across the map.

    Attributes:
        d: distance from the middle in metres, float32 [MAP_PX, width]; right or down is positive.
        index: each pixel's place in the flattened map, intp [MAP_PX, width].
        tile_index: each pixel's place in a flattened noise tile.
    """

    d: npt.NDArray[np.float32]
    index: npt.NDArray[np.intp]
    tile_index: npt.NDArray[np.intp]

    @classmethod
    def along(cls, curve: Curve, reach_m: float) -> Ribbon:
        """Returns the strip along a curve."""
        s = np.arange(MAP_PX)
        cross, stretch = curve.at(s), np.hypot(1, curve.slope(s))
        reach = int(np.ceil(reach_m * PX_PER_M * stretch.max()))
        first = np.floor(cross).astype(np.intp) - reach
        columns = first[:, None] + np.arange(2 * reach + 2)[None, :]
        d = (columns - cross[:, None]) / (stretch[:, None] * PX_PER_M)
        rows = np.broadcast_to(s[:, None], columns.shape)
        columns = columns % MAP_PX
        y, x = (rows, columns) if curve.vertical else (columns, rows)
        return cls(d.astype(np.float32), y * MAP_PX + x, (y % TILE_PX) * TILE_PX + x % TILE_PX)

    def noise(self, tile: Gray) -> Gray:
        """Returns a noise tile under the strip."""
        return tile.ravel().take(self.tile_index)

    def put(
        self, canvas: Canvas, where: npt.NDArray[np.bool_], table: Ramp, noise: Gray, label: int | None
    ) -> None:
        """Paints a material where ``where`` is set; without a label the labels do not change."""
        chosen = np.flatnonzero(where)
        index = self.index.ravel()[chosen]
        canvas.colour.reshape(-1, 3)[index] = table[noise.ravel()[chosen], 0]
        if label is not None:
            canvas.labels.ravel()[index] = label


def _mix(first: Gray, weight: float, second: Gray, other: float) -> Gray:
    return np.asarray(cv2.addWeighted(first, weight, second, other, 128 * (1 - weight - other)), np.uint8)


def paint_river(canvas: Canvas, layout: PlaceLayout, appearance: Appearance) -> None:
    """Paints the river: water that deepens from the shore, ripples, foam at the edge and a strip of sand."""
    half = layout.river_half_m
    ribbon = Ribbon.along(layout.river, half + 9)
    mottle, cloud = ribbon.noise(canvas.noise.mottle), ribbon.noise(canvas.noise.cloud)
    wobble = (cloud.astype(np.float32) - 128) * (1.6 / 42) + (mottle.astype(np.float32) - 128) * (0.25 / 42)
    edge = half + wobble - np.abs(ribbon.d)  # metres of water between here and the shore
    sand_width = 3.2 + 2.4 * np.sin(np.arange(MAP_PX) * (2 * np.pi * 3 / MAP_PX) + layout.river.base)[:, None]
    tones: tuple[Bgr, ...] = ((130, 166, 190), (164, 200, 220), (190, 222, 240))
    sand = ramp(*(blend(appearance.soil_bgr, tone, 0.45) for tone in tones))
    grain = ribbon.noise(canvas.noise.grain)
    ribbon.put(canvas, edge > -sand_width, sand, _mix(mottle, 0.6, grain, 0.4), FIELD)
    ribbon.put(canvas, (edge > -0.7) & (edge <= 0), spread(_mean(sand, 0.72), 0.12), mottle, FIELD)
    depth = np.clip(edge / 7, 0, 1)
    ripples = np.clip(
        188 - 128 * depth + (mottle.astype(np.float32) - 128) * 0.5 + (cloud - 128.0) * 0.2, 0, 255
    )
    wet = edge > 0
    ribbon.put(canvas, wet, appearance.water, ripples.astype(np.uint8), WATER)
    foam = wet & (edge < 0.28) & (grain > 135)
    ribbon.put(canvas, foam, ramp((150, 156, 140), (196, 200, 188)), mottle, None)


def _mean(table: Ramp, factor: float) -> tuple[float, float, float]:
    b, g, r = table[128, 0] * factor
    return float(b), float(g), float(r)


def paint_streets(
    canvas: Canvas, rng: np.random.Generator, layout: PlaceLayout, appearance: Appearance
) -> None:
    """Paints shoulders, carriageways, repairs, markings: each for all streets at once, so that junctions fit."""
    dirt = spread(blend(appearance.soil_bgr, (150, 182, 200), 0.4), 0.28)
    strips = [
        (street, Ribbon.along(street.curve, street.half_m + street.pavement_m + 1.5))
        for street in layout.streets
    ]
    for street, ribbon in strips:
        _bridge_shadow(canvas, street, ribbon, appearance)
        _shoulder(canvas, street, ribbon)
    for street, ribbon in sorted(strips, key=lambda pair: pair[0].kind != "dirt"):
        _carriageway(canvas, street, ribbon, dirt, appearance)
    for street in layout.streets:
        if street.kind != "dirt":
            _repairs(canvas, rng, street)
    for street, ribbon in strips:
        if street.kind != "dirt":
            others = layout.horizontal if street.curve.vertical else layout.vertical
            _markings(canvas, street, ribbon, others)


def _bridge_shadow(canvas: Canvas, street: Street, ribbon: Ribbon, appearance: Appearance) -> None:
    """Darkens the water beside a bridge, on the side away from the sun."""
    fall = float(appearance.shadow_xy[0 if street.curve.vertical else 1]) * 2.5
    edge = street.half_m + street.pavement_m
    low, high = min(fall, 0.0) - edge, max(fall, 0.0) + edge
    below = (canvas.labels.ravel()[ribbon.index] == WATER) & (ribbon.d > low) & (ribbon.d < high)
    canvas.light.ravel()[ribbon.index[below]] = 40


def _shoulder(canvas: Canvas, street: Street, ribbon: Ribbon) -> None:
    noise = _mix(ribbon.noise(canvas.noise.mottle), 0.5, ribbon.noise(canvas.noise.grain), 0.5)
    outer = street.half_m + street.pavement_m
    bridge = canvas.labels.ravel()[ribbon.index] == WATER
    distance = np.abs(ribbon.d)
    if street.kind == "street":
        paved = distance < outer
        ribbon.put(canvas, paved, _PAVEMENT, noise, ROAD)
        slab = np.zeros_like(noise)
        s = np.arange(MAP_PX)[:, None]
        joints = ((s % 16) == 0) | (np.abs(np.mod(distance - street.half_m, 0.9) - 0.45) < 0.04)
        slab[joints] = 1
        ribbon.put(canvas, paved & (slab > 0), spread((116, 122, 126), 0.1), noise, None)
        kerb = np.abs(distance - street.half_m - 0.1) < 0.12
        ribbon.put(canvas, kerb, spread((166, 170, 172), 0.12), noise, ROAD)
    else:
        ragged = distance + (noise.astype(np.float32) - 128) * 0.006
        ribbon.put(canvas, ragged < outer, _GRAVEL, noise, ROAD)
    rail = bridge & (distance < outer + 0.45) & (distance > outer - 0.1)
    ribbon.put(canvas, bridge & (distance < outer + 0.45), _PAVEMENT, noise, ROAD)
    ribbon.put(canvas, rail, spread((196, 202, 204), 0.08), noise, ROAD)
    deck = bridge & (distance < outer + 0.45)
    canvas.light.ravel()[ribbon.index[deck]] = 255


def _carriageway(canvas: Canvas, street: Street, ribbon: Ribbon, dirt: Ramp, appearance: Appearance) -> None:
    mottle, grain, cloud = (
        ribbon.noise(t) for t in (canvas.noise.mottle, canvas.noise.grain, canvas.noise.cloud)
    )
    noise = _mix(mottle, 0.35, grain, 0.45)
    distance = np.abs(ribbon.d)
    if street.kind == "dirt":
        ragged = (
            distance + (cloud.astype(np.float32) - 128) * 0.006 + (mottle.astype(np.float32) - 128) * 0.004
        )
        inside = ragged < street.half_m
        ribbon.put(canvas, inside, dirt, noise, ROAD)
        ruts = inside & (np.abs(distance - 0.85) < 0.33)
        ribbon.put(canvas, ruts, spread(_mean(dirt, 0.82), 0.2), noise, None)
        tufts = inside & (distance < 0.4) & (mottle > 138)
        ribbon.put(canvas, tufts, appearance.grass, noise, None)
        return
    worn = np.clip(
        noise + 16 * np.exp(-(((distance - street.half_m / 2) / 0.9) ** 2)) + (cloud - 128.0) * 0.25, 0, 255
    )
    worn[np.abs(distance - street.half_m / 2) < 0.15] -= 14  # oil stains along the middle of each lane
    ribbon.put(canvas, distance < street.half_m, _ASPHALT, np.clip(worn, 0, 255).astype(np.uint8), ROAD)
    gutter = (distance < street.half_m) & (distance > street.half_m - 0.3)
    ribbon.put(canvas, gutter, spread((84, 84, 84), 0.2), noise, None)


def _repairs(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Paints patches of newer or older asphalt, tarred cracks and manholes."""
    for s in rng.uniform(0, MAP_PX, 26):
        spot, heading = street.curve.place(s, rng.uniform(-0.6, 0.6) * street.half_m * PX_PER_M)
        size = rng.uniform((1.2, 0.8), (7, 2.2)) * PX_PER_M
        inside = street.half_m * PX_PER_M - abs(_offset(street, spot)) - size[1] / 2 > 0
        grey = rng.uniform(78, 122)
        if inside:
            canvas.paint(
                box(spot, float(heading), *size), spread((grey, grey, grey * 0.99), 0.2), ROAD, 0.4, 0.5
            )
    for s in rng.uniform(0, MAP_PX, 12):
        across = np.cumsum(rng.normal(rng.normal(0, 1.5), 2.2, 24))
        offset = np.clip(across, -street.half_m * 9, street.half_m * 9)
        along = s + np.cumsum(rng.uniform(1, 7, 24))
        canvas.line(street.curve.place(along, offset)[0], 0.09, spread((82, 82, 81), 0.2), ROAD, 0.4, 0.5)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], -1)
    for s in rng.uniform(0, MAP_PX, 16):
        spot, _ = street.curve.place(s, rng.choice([-0.45, 0.45]) * street.half_m * PX_PER_M)
        for radius_px, grey in ((5.6, 70.0), (4.4, 96.0)):
            canvas.paint(spot + circle * radius_px, spread((grey, grey, grey), 0.25), ROAD, 0.3, 0.7)


def _offset(street: Street, xy: Points) -> float:
    """Returns the distance of a point from the middle of a street, straight across the map, in pixels."""
    cross, s = (xy[0], xy[1]) if street.curve.vertical else (xy[1], xy[0])
    return float(cross - street.curve.at(s))


def _markings(canvas: Canvas, street: Street, ribbon: Ribbon, others: tuple[Street, ...]) -> None:
    s = np.arange(MAP_PX, dtype=np.float32)[:, None]
    d, distance, half = ribbon.d, np.abs(ribbon.d), street.half_m
    noise = ribbon.noise(canvas.noise.mottle)
    away = np.full(s.shape, np.inf, np.float32)  # metres to the edge of the nearest junction
    for other in others:
        gap = np.abs(np.mod(s - street.curve.crossing(other.curve) + MAP_PX / 2, MAP_PX) - MAP_PX / 2)
        stretch = float(np.hypot(1, other.curve.slope(other.curve.crossing(street.curve))))
        away = np.minimum(away, gap / PX_PER_M - other.half_m * stretch)
    metres = s / PX_PER_M
    pitch = MAP_PX / PX_PER_M / 48  # a whole number of dashes, so that they meet at the seam
    dash = (np.mod(metres, pitch) < 3.0) & (distance < 0.08) & (away > 9)
    solid = (distance < 0.08) & (away <= 9) & (away > 5.2)
    edge = (np.abs(distance - half + 0.45) < 0.07) & (away > 1) & (street.kind == "country")
    paint = dash | solid | edge
    if street.kind == "street":
        zebra = (away > 1.2) & (away < 4.0) & (np.mod(d + half, 1.0) < 0.5) & (distance < half - 0.25)
        side = 1 if street.curve.vertical else -1
        stop = (
            (away > 4.7)
            & (away < 5.15)
            & (d * side * _approach(street, others, s) < 0)
            & (distance < half - 0.2)
        )
        paint |= zebra | stop
    ribbon.put(canvas, paint & (noise > 62), _MARKING, noise, None)


def _approach(
    street: Street, others: tuple[Street, ...], s: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Returns +1 before the nearest junction along s, -1 after it."""
    best = np.full(s.shape, np.inf, np.float32)
    sign = np.ones(s.shape, np.float32)
    for other in others:
        gap = np.mod(s - street.curve.crossing(other.curve) + MAP_PX / 2, MAP_PX) - MAP_PX / 2
        nearer = np.abs(gap) < best
        best = np.where(nearer, np.abs(gap), best)
        sign = np.where(nearer, -np.sign(gap), sign)
    return sign
