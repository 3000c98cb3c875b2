"""What fills a block: homes, shops and car park, market, park, wood, orchard, fields, river bank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .buildings import Building
from .canvas import MAP_PX, PX_PER_M, Canvas, Points, box
from .labels import GRASS, ROAD, TREE, WATER
from .layout import Block, Layout
from .look import Bgr, Look
from .noise import Ramp, ramp, spread
from .terrain import blob, paint_field, paint_meadow, paint_pond
from .trees import Orchard, Tree

_GRAVEL = ramp((96, 120, 138), (126, 150, 168), (160, 184, 200))
_ASPHALT = ramp((80, 80, 80), (104, 104, 103), (126, 126, 125))
_PAVING = ramp((124, 136, 148), (148, 160, 172), (176, 188, 198))
_LINE = spread((208, 212, 214), 0.12)


@dataclass
class Scene:
    """A place under construction: the canvas, and what will stand or move on it.

    Attributes:
        parked: (x, y, heading) of standing cars.
        strolls: (x, y, reach x, reach y) of people who wander around a point, in pixels.
    """

    canvas: Canvas
    look: Look
    orchard: Orchard
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    parked: list[tuple[float, float, float]] = field(default_factory=list)
    strolls: list[tuple[float, float, float, float]] = field(default_factory=list)

    def build(self, rng: np.random.Generator, centre_xy: Points, angle: float, length_m: float, width_m: float,
              height_m: float, kind: str, colour_bgr: Bgr) -> None:  # fmt: skip
        """Adds a building."""
        detail = int(rng.integers(1 << 30))
        self.buildings.append(
            Building(centre_xy, angle, length_m, width_m, height_m, kind, colour_bgr, detail)
        )

    def plant(self, rng: np.random.Generator, centre_xy: Points, size: int) -> None:
        """Adds a tree of a size class, unless it would stand on a road or in water."""
        x, y = (int(c) % MAP_PX for c in centre_xy)
        if self.canvas.labels[y, x] not in (ROAD, WATER):
            self.trees.append(
                Tree(centre_xy, self.orchard.pick(rng, size), 1.0 + size * rng.uniform(1.1, 1.7))
            )

    def stroll(self, rng: np.random.Generator, centre_xy: Points, reach_m: float) -> None:
        """Adds a person who wanders around a point, unless that is in water."""
        x, y = (int(c) % MAP_PX for c in centre_xy)
        if self.canvas.labels[y, x] == WATER:
            return
        reach = rng.uniform(0.3, 1.0, 2) * reach_m * PX_PER_M
        self.strolls.append((float(centre_xy[0]), float(centre_xy[1]), float(reach[0]), float(reach[1])))

    def crowd(self, rng: np.random.Generator, count: float) -> int:
        """A number of people scaled to how busy this place is."""
        return int(rng.poisson(count * self.look.crowd))


def _roof_colour(rng: np.random.Generator, look: Look) -> Bgr:
    base = look.roof_bgr[int(rng.integers(len(look.roof_bgr)))]
    tone = rng.uniform(0.85, 1.15)
    return base[0] * tone, base[1] * tone, base[2] * tone


def _house(scene: Scene, rng: np.random.Generator, centre: Points, angle: float) -> tuple[float, float]:
    """A main roof, and often a wing across it; returns its length and width in metres."""
    length, width, height = rng.uniform(9, 14), rng.uniform(7, 9.5), rng.uniform(4.5, 7.5)
    kind, colour = str(rng.choice(["gabled", "hipped"], p=[0.62, 0.38])), _roof_colour(rng, scene.look)
    turned = angle + (np.pi / 2 if rng.random() < 0.25 else 0.0)
    if rng.random() < 0.12:
        kind, colour = "flat", (150.0, 152.0, 150.0)
    scene.build(rng, centre, turned, length, width, height, kind, colour)
    if kind != "flat" and rng.random() < 0.5:
        along = np.array([np.cos(turned), np.sin(turned)])
        across = np.array([-along[1], along[0]])
        side = rng.choice([-1, 1])
        spot = centre + (along * rng.uniform(-0.28, 0.28) * length + across * side * width * 0.42) * PX_PER_M
        scene.build(rng, spot, turned + np.pi / 2, width * 0.95, width * 0.62, height * 0.8, kind, colour)
    return length, width


def residential(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Two rows of houses back to back: drives, hedges, lawns, sheds, pools, garden trees."""
    width_m, height_m = block.size_m()
    count = max(2, int(width_m / rng.uniform(15, 20)))
    hedge: Ramp = ramp((24, 52, 34), (40, 82, 56), (62, 112, 84))
    for front, back, sign in ((0.0, 0.5, 1.0), (1.0, 0.5, -1.0)):
        angle = block.angle(abs(front - 0.12))
        for k in range(count):
            u0, u1 = k / count, (k + 1) / count
            middle = (u0 + u1) / 2
            lawn = rng.uniform(0.88, 1.1)
            if rng.random() < 0.45:
                table = np.clip(scene.look.grass * lawn, 0, 255).astype(np.uint8)
                scene.canvas.paint(
                    block.part(u0, min(front, back), u1, max(front, back)), table, GRASS, 0.3, 0.3
                )
            setback = rng.uniform(9.5, 13.5)
            spot = block.point(middle + rng.uniform(-0.06, 0.06) / count, front + sign * setback / height_m)
            drive_u = u0 + rng.uniform(0.12, 0.2) / count
            drive = block.point([drive_u, drive_u], [front, front + sign * (setback - 1) / height_m])
            surface = (_GRAVEL, _PAVING, _ASPHALT)[int(rng.integers(3))]
            scene.canvas.line(drive, 3.0, surface, ROAD, 0.4, 0.5)
            if rng.random() < 0.75:
                at = block.point(drive_u, front + sign * rng.uniform(4.0, 6.5) / height_m)
                scene.parked.append((float(at[0]), float(at[1]), angle + np.pi / 2))
            path = block.point([middle, middle], [front, front + sign * setback / height_m])
            scene.canvas.line(path, 1.3, _PAVING, ROAD, 0.4, 0.5)
            length, width = _house(scene, rng, spot, angle)
            terrace = block.point(middle, front + sign * (setback + width / 2 + 1.5) / height_m)
            scene.canvas.paint(box(terrace, angle, 6 * PX_PER_M, 4.5 * PX_PER_M), _PAVING, ROAD, 0.3, 0.3)
            _garden(scene, block, rng, (u0, u1), (front + sign * (setback + 8) / height_m, back), angle)
            fence = block.point([u0, u0], [front + sign * 2.0 / height_m, back])
            if rng.random() < 0.7:
                scene.canvas.line(fence, rng.uniform(0.6, 1.0), hedge, TREE, 0.6, 0.7)
                for t in np.arange(
                    0.02, 1, 2.0 * PX_PER_M / max(float(np.hypot(*(fence[1] - fence[0]))), 1.0)
                ):
                    bush = fence[0] + t * (fence[1] - fence[0]) + rng.normal(0, 2, 2)
                    scene.plant(rng, bush, int(rng.random() < 0.12))
            if rng.random() < 0.8:
                scene.stroll(rng, block.point(middle, front + sign * (setback + 8) / height_m), 2.0)
            if rng.random() < 0.6:
                scene.plant(
                    rng, block.point(u1 - 0.22 / count, front + sign * 4 / height_m), int(rng.integers(1, 4))
                )


def _garden(scene: Scene, block: Block, rng: np.random.Generator, us: tuple[float, float],
            vs: tuple[float, float], angle: float) -> None:  # fmt: skip
    def spot(low: float = 0.15, high: float = 0.85) -> Points:
        return block.point(rng.uniform(us[0] + low * (us[1] - us[0]), us[0] + high * (us[1] - us[0])),
                           rng.uniform(*sorted(vs)))  # fmt: skip

    if rng.random() < 0.35:
        scene.build(
            rng,
            spot(0.25, 0.75),
            angle,
            rng.uniform(2.5, 4),
            rng.uniform(2.2, 3),
            2.4,
            "gabled",
            _roof_colour(rng, scene.look),
        )  # noqa: E501
    if rng.random() < 0.22:
        at = spot(0.3, 0.7)
        size = rng.uniform(4, 6) * PX_PER_M, rng.uniform(2.6, 3.4) * PX_PER_M
        scene.canvas.paint(box(at, angle, size[0] + 26, size[1] + 26), _PAVING, ROAD, 0.3, 0.2)
        scene.canvas.paint(
            box(at, angle, *size), ramp((176, 150, 70), (206, 184, 104), (226, 212, 146)), WATER, 0.6, 0.1
        )
    if rng.random() < 0.3:
        bed = box(spot(), angle, rng.uniform(3, 6) * PX_PER_M, rng.uniform(2, 4) * PX_PER_M)
        paint_field(scene.canvas, rng, scene.look, bed, angle)
    for _ in range(int(rng.integers(2, 8))):
        scene.plant(rng, spot(), int(rng.choice([0, 1, 2, 3], p=[0.3, 0.3, 0.25, 0.15])))


def car_park(scene: Scene, block: Block, rng: np.random.Generator, us: tuple[float, float],
             vs: tuple[float, float], filled: float) -> None:  # fmt: skip
    """Rows of bays with painted lines, mostly taken, with trees between the rows."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(us[0], vs[0], us[1], vs[1]), _ASPHALT, ROAD, 0.3, 0.4)
    rows = max(1, int((vs[1] - vs[0]) * height_m / 16.5))
    bays = max(2, int((us[1] - us[0]) * width_m / 2.7) - 2)
    for row in range(rows):
        for half in (-1, 1):
            v = vs[0] + (row + 0.5) / rows * (vs[1] - vs[0]) + half * 2.6 / height_m
            heading = block.angle(v) + np.pi / 2
            for k in range(bays + 1):
                u = us[0] + (k + 1) * 2.7 / width_m
                ends = block.point([u, u], [v - half * 2.4 / height_m, v + half * 2.4 / height_m])
                scene.canvas.line(ends, 0.12, _LINE, ROAD, 0.2, 0.2)
                if k < bays and rng.random() < filled:
                    at = block.point(u + 1.35 / width_m, v + rng.normal(0, 0.15) / height_m)
                    flip = np.pi * int(rng.integers(2))
                    scene.parked.append(
                        (float(at[0]), float(at[1]), float(heading + flip + rng.normal(0, 0.02)))
                    )
    for _ in range(scene.crowd(rng, rows * 3)):
        scene.stroll(rng, block.point(rng.uniform(*us), rng.uniform(*vs)), 5)


def commercial(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """A hall with a flat roof behind its car park."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(0.05, 0.03, 0.95, 0.97), _PAVING, ROAD, 0.3, 0.4)
    split = rng.uniform(0.42, 0.52)
    car_park(scene, block, rng, (0.05, 0.95), (split + 0.06, 0.94), rng.uniform(0.55, 0.85))
    grey = rng.uniform(120, 186)
    colour = (grey, grey * rng.uniform(0.96, 1.02), grey * rng.uniform(0.94, 1.04))
    angle = block.angle(0.3)
    cut = rng.uniform(0.4, 0.6)
    for u0, u1 in ((0.07, cut - 0.03), (cut + 0.03, 0.93)):
        spot = block.point((u0 + u1) / 2, split / 2 + 0.02)
        size = (u1 - u0) * width_m, (split - 0.1) * height_m
        scene.build(
            rng, spot, angle, size[0], size[1] * rng.uniform(0.75, 0.98), rng.uniform(5, 9), "flat", colour
        )
    for k in range(9):
        scene.plant(rng, block.point(0.02 + 0.12 * k, rng.choice([0.005, 0.995])), 2)
    for _ in range(scene.crowd(rng, 16)):
        scene.stroll(rng, block.point(rng.uniform(0.1, 0.9), split + 0.03), 4)


def market(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """A paved square with a fountain, rows of stalls and a crowd, town houses around it."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(0, 0, 1, 1), _PAVING, ROAD, 0.35, 0.4)
    angle = block.angle(0.5)
    for t in np.linspace(0.04, 0.96, int(width_m / 3.2)):
        scene.canvas.line(
            block.point([t, t], [0.02, 0.98]), 0.2, spread((132, 142, 150), 0.12), ROAD, 0.4, 0.4
        )
    for t in np.linspace(0.04, 0.96, int(height_m / 3.2)):
        scene.canvas.line(
            block.point([0.02, 0.98], [t, t]), 0.2, spread((132, 142, 150), 0.12), ROAD, 0.4, 0.4
        )
    middle = block.point(0.5, 0.5)
    for radius, table, label in (
        (4.6, _LINE, ROAD),
        (4.0, ramp((150, 130, 76), (180, 164, 110), (214, 206, 170)), WATER),
        (0.9, _LINE, ROAD),
    ):  # noqa: E501
        scene.canvas.paint(blob(rng, middle, radius * PX_PER_M, 0.0), table, label, 0.5, 0.3)
    canvas_tones: tuple[Bgr, ...] = (
        (60, 60, 190),
        (170, 110, 50),
        (70, 140, 60),
        (50, 150, 210),
        (130, 70, 120),
    )
    for v in (0.3, 0.42, 0.58, 0.7):
        for u in np.arange(0.24, 0.78, 5.2 / width_m):
            if abs(u - 0.5) < 0.1 and abs(v - 0.5) < 0.14 or rng.random() < 0.18:
                continue
            spot = block.point(u, v + rng.normal(0, 0.004))
            tone = canvas_tones[int(rng.integers(len(canvas_tones)))]
            scene.build(rng, spot, angle + rng.normal(0, 0.03), 3.6, 2.7, 2.5, "awning", tone)
    for v, count in ((0.09, 4), (0.91, 4)):
        for k in range(count):
            length = 0.82 * width_m / count * rng.uniform(0.86, 1.0)
            spot = block.point(0.09 + 0.82 * (k + 0.5) / count, v)
            kind = str(rng.choice(["gabled", "hipped", "flat"], p=[0.6, 0.25, 0.15]))
            scene.build(
                rng, spot, angle, length, 10.5, rng.uniform(8, 11), kind, _roof_colour(rng, scene.look)
            )
    for u in (0.06, 0.12, 0.88, 0.94):
        for v in np.linspace(0.24, 0.76, 5):
            at = block.point(u, v)
            scene.canvas.paint(blob(rng, at, 1.1 * PX_PER_M), scene.look.grass, GRASS)
            scene.plant(rng, at, int(rng.integers(2, 4)))
    for _ in range(scene.crowd(rng, 230)):
        scene.stroll(rng, block.point(rng.uniform(0.16, 0.84), rng.uniform(0.2, 0.8)), 3.5)


def park(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Lawns, winding gravel paths, a pond, groups of trees, people."""
    paint_meadow(
        scene.canvas, rng, scene.look, block.part(0.01, 0.01, 0.99, 0.99), block.angle(0.5), mown=True
    )
    for _ in range(3):
        wild = blob(rng, block.point(*rng.uniform(0.2, 0.8, 2)), rng.uniform(7, 14) * PX_PER_M)
        paint_meadow(scene.canvas, rng, scene.look, wild, 0.0, mown=False)
    pond = block.point(rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.65))
    t = np.linspace(0, 1, 40)
    waves = [rng.uniform(0, 2 * np.pi) for _ in range(2)]
    paths = [
        block.point(t, 0.3 + 0.16 * np.sin(5 * t + waves[0])),
        block.point(0.68 + 0.14 * np.sin(5 * t + waves[1]), t),
    ]
    for path in paths:
        scene.canvas.line(path, rng.uniform(2.0, 2.8), _GRAVEL, ROAD, 0.4, 0.5)
        for _ in range(scene.crowd(rng, 10)):
            scene.stroll(rng, path[int(rng.integers(len(path)))], 2.5)
    paint_pond(scene.canvas, rng, scene.look, pond, rng.uniform(9, 15) * PX_PER_M)
    for _ in range(int(rng.integers(9, 15))):
        centre = block.point(rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95))
        for _ in range(int(rng.integers(2, 9))):
            scene.plant(rng, centre + rng.normal(0, 5.5 * PX_PER_M, 2), int(rng.integers(1, 6)))
    for _ in range(scene.crowd(rng, 24)):
        centre = block.point(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
        for _ in range(int(rng.integers(1, 4))):
            scene.stroll(rng, centre + rng.normal(0, 18, 2), 1.5)


def wood(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """A wood with clearings and a track through it."""
    t = np.linspace(0, 1, 30)
    scene.canvas.line(block.point(t, 0.5 + 0.2 * np.sin(4 * t + rng.uniform(0, 6))), 2.4, _GRAVEL, ROAD)
    clearings = rng.uniform(0.15, 0.85, (2, 2))
    width_m, height_m = block.size_m()
    for _ in range(int(width_m * height_m / 13)):
        uv = rng.uniform(0.015, 0.985, 2)
        if np.min(np.hypot(*(clearings - uv).T)) > 0.13 + rng.normal(0, 0.015):
            scene.plant(
                rng, block.point(*uv), int(rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.2, 0.3, 0.25, 0.15]))
            )
    for _ in range(scene.crowd(rng, 8)):
        scene.stroll(rng, block.point(*clearings[int(rng.integers(2))]), 6)


def fields(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Two to four strips of farmland with grass balks, sometimes a barn, a few trees on the edges."""
    strips = int(rng.integers(2, 5))
    edges = np.linspace(0.015, 0.985, strips + 1) + np.r_[0, rng.normal(0, 0.03, strips - 1), 0]
    lying = rng.random() < 0.5
    angle = block.angle(0.5) + (0.0 if lying else np.pi / 2)
    barn = int(rng.integers(strips)) if rng.random() < 0.6 else -1
    for k in range(strips):
        low, high = edges[k] + 0.008, edges[k + 1] - 0.008
        part = block.part(0.015, low, 0.985, high) if lying else block.part(low, 0.015, high, 0.985)
        if rng.random() < 0.86:
            paint_field(scene.canvas, rng, scene.look, part, angle + rng.normal(0, 0.02))
        else:
            paint_meadow(scene.canvas, rng, scene.look, part, angle, mown=bool(rng.random() < 0.5))
        middle = (low + high) / 2
        if k == barn:
            near = rng.choice([0.13, 0.87])
            spot = block.point(near, middle) if lying else block.point(middle, near)
            yard = box(spot, angle, 24 * PX_PER_M, 19 * PX_PER_M)
            scene.canvas.paint(yard, _GRAVEL, ROAD, 0.6, 0.4)
            scene.build(
                rng,
                spot,
                angle,
                rng.uniform(13, 18),
                rng.uniform(8, 11),
                6,
                "gabled",
                _roof_colour(rng, scene.look),
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
    """Fruit trees in rows on mown grass, with a dirt lane."""
    width_m, height_m = block.size_m()
    size = int(rng.integers(1, 4))
    pitch = (4.4, 5.6, 7.2)[size - 1]
    scene.canvas.line(block.point([0.5, 0.5], [0, 1]), 2.6, _GRAVEL, ROAD)
    for u in np.arange(0.04, 0.97, pitch / width_m):
        for v in np.arange(0.04, 0.97, pitch * 0.9 / height_m):
            if abs(u - 0.5) > 3 / width_m and rng.random() < 0.93:
                scene.plant(rng, block.point(u, v) + rng.normal(0, 3, 2), size)
    for _ in range(scene.crowd(rng, 8)):
        scene.stroll(rng, block.point(0.5, rng.uniform(0, 1)), 3)


def river_bank(scene: Scene, block: Block, rng: np.random.Generator, layout: Layout) -> None:
    """Trees, bushes and bathers on both sides of the river."""
    reach = layout.river_half_m * PX_PER_M
    for _ in range(6):
        edge = block.point(rng.uniform(0.02, 0.98), rng.uniform(0.1, 0.9))
        gap = (edge[0] - layout.river.at(edge[1]) + MAP_PX / 2) % MAP_PX - MAP_PX / 2
        radius = min(abs(gap) - reach - 8 * PX_PER_M, 11 * PX_PER_M)
        if radius > 3 * PX_PER_M:
            paint_meadow(scene.canvas, rng, scene.look, blob(rng, edge, radius), 0.0, mown=False)
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
        scene.build(rng, spot, block.angle(0.5) + np.pi / 2, 8, 6, 4, "hipped", _roof_colour(rng, scene.look))


FILLERS: dict[str, Callable[[Scene, Block, np.random.Generator], None]] = {
    "residential": residential,
    "commercial": commercial,
    "market": market,
    "park": park,
    "wood": wood,
    "fields": fields,
    "orchard": orchard,
}


def fill_blocks(scene: Scene, layout: Layout, rng: np.random.Generator) -> None:
    """Gives every block its use: one market, one car park, a park and a wood always; homes and fields elsewhere."""
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
