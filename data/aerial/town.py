"""Built-up blocks: homes with gardens, halls with a car park, a market square."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Points
from .appearance import Bgr
from .buildings import Building
from .canvas import PX_PER_M, box
from .labels import GRASS, ROAD, TREE, WATER
from .layout import Block
from .noise import Ramp, ramp, spread
from .scene import ASPHALT, GRAVEL, LINE, PAVING, Scene, roof_colour
from .terrain import blob, paint_field


def _house(scene: Scene, rng: np.random.Generator, centre: Points, angle: float) -> tuple[float, float]:
    """Adds a main roof, and often a wing across it; returns its length and width in metres."""
    length, width, height = rng.uniform(9, 14), rng.uniform(7, 9.5), rng.uniform(4.5, 7.5)
    kind, colour = str(rng.choice(["gabled", "hipped"], p=[0.62, 0.38])), roof_colour(rng, scene.appearance)
    turned = angle + (np.pi / 2 if rng.random() < 0.25 else 0.0)
    if rng.random() < 0.12:
        kind, colour = "flat", (150.0, 152.0, 150.0)
    scene.build(rng, Building(centre, turned, length, width, height, kind, colour))
    if kind != "flat" and rng.random() < 0.5:
        along = np.array([np.cos(turned), np.sin(turned)])
        across = np.array([-along[1], along[0]])
        side = rng.choice([-1, 1])
        spot = centre + (along * rng.uniform(-0.28, 0.28) * length + across * side * width * 0.42) * PX_PER_M
        scene.build(
            rng, Building(spot, turned + np.pi / 2, width * 0.95, width * 0.62, height * 0.8, kind, colour)
        )
    return length, width


def residential(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds two rows of houses back to back: drives, hedges, lawns, sheds, pools, garden trees."""
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
                table = np.clip(scene.appearance.grass * lawn, 0, 255).astype(np.uint8)
                scene.canvas.paint(
                    block.part(u0, min(front, back), u1, max(front, back)), table, GRASS, 0.3, 0.3
                )
            setback = rng.uniform(9.5, 13.5)
            spot = block.point(middle + rng.uniform(-0.06, 0.06) / count, front + sign * setback / height_m)
            drive_u = u0 + rng.uniform(0.12, 0.2) / count
            drive = block.point([drive_u, drive_u], [front, front + sign * (setback - 1) / height_m])
            surface = (GRAVEL, PAVING, ASPHALT)[int(rng.integers(3))]
            scene.canvas.line(drive, 3.0, surface, ROAD, 0.4, 0.5)
            if rng.random() < 0.75:
                at = block.point(drive_u, front + sign * rng.uniform(4.0, 6.5) / height_m)
                scene.parked.append((float(at[0]), float(at[1]), angle + np.pi / 2))
            path = block.point([middle, middle], [front, front + sign * setback / height_m])
            scene.canvas.line(path, 1.3, PAVING, ROAD, 0.4, 0.5)
            _, width = _house(scene, rng, spot, angle)
            terrace = block.point(middle, front + sign * (setback + width / 2 + 1.5) / height_m)
            scene.canvas.paint(box(terrace, angle, 6 * PX_PER_M, 4.5 * PX_PER_M), PAVING, ROAD, 0.3, 0.3)
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
                           rng.uniform(min(vs), max(vs)))  # fmt: skip

    if rng.random() < 0.35:
        scene.build(
            rng,
            Building(
                spot(0.25, 0.75),
                angle,
                rng.uniform(2.5, 4),
                rng.uniform(2.2, 3),
                2.4,
                "gabled",
                roof_colour(rng, scene.appearance),
            ),
        )
    if rng.random() < 0.22:
        at = spot(0.3, 0.7)
        size = rng.uniform(4, 6) * PX_PER_M, rng.uniform(2.6, 3.4) * PX_PER_M
        scene.canvas.paint(box(at, angle, size[0] + 26, size[1] + 26), PAVING, ROAD, 0.3, 0.2)
        scene.canvas.paint(
            box(at, angle, *size), ramp((176, 150, 70), (206, 184, 104), (226, 212, 146)), WATER, 0.6, 0.1
        )
    if rng.random() < 0.3:
        bed = box(spot(), angle, rng.uniform(3, 6) * PX_PER_M, rng.uniform(2, 4) * PX_PER_M)
        paint_field(scene.canvas, rng, scene.appearance, bed, angle)
    for _ in range(int(rng.integers(2, 8))):
        scene.plant(rng, spot(), int(rng.choice([0, 1, 2, 3], p=[0.3, 0.3, 0.25, 0.15])))


def car_park(scene: Scene, block: Block, rng: np.random.Generator, us: tuple[float, float],
             vs: tuple[float, float], filled: float) -> None:  # fmt: skip
    """Adds rows of parking bays with painted lines; ``filled`` is the share of occupied bays."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(us[0], vs[0], us[1], vs[1]), ASPHALT, ROAD, 0.3, 0.4)
    rows = max(1, int((vs[1] - vs[0]) * height_m / 16.5))
    bays = max(2, int((us[1] - us[0]) * width_m / 2.7) - 2)
    for row in range(rows):
        for half in (-1, 1):
            v = vs[0] + (row + 0.5) / rows * (vs[1] - vs[0]) + half * 2.6 / height_m
            heading = block.angle(v) + np.pi / 2
            u = us[0] + (np.arange(bays + 1) + 1) * 2.7 / width_m
            near, far = (block.point(u, v + side * 2.4 / height_m) for side in (-1, 1))
            for ends in np.stack([near, far], axis=1):
                scene.canvas.line(ends, 0.12, LINE, ROAD, 0.2, 0.2)
            taken = u[:-1][rng.random(bays) < filled] + 1.35 / width_m
            turned = heading + np.pi * rng.integers(0, 2, len(taken)) + rng.normal(0, 0.02, len(taken))
            places = block.point(taken, v + rng.normal(0, 0.15, len(taken)) / height_m)
            scene.parked += [(float(x), float(y), float(a)) for (x, y), a in zip(places, turned, strict=True)]
    for _ in range(scene.crowd(rng, rows * 3)):
        scene.stroll(rng, block.point(rng.uniform(*us), rng.uniform(*vs)), 5)


def commercial(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds a hall with a flat roof behind its car park."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(0.05, 0.03, 0.95, 0.97), PAVING, ROAD, 0.3, 0.4)
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
            rng,
            Building(
                spot, angle, size[0], size[1] * rng.uniform(0.75, 0.98), rng.uniform(5, 9), "flat", colour
            ),
        )
    for k in range(9):
        scene.plant(rng, block.point(0.02 + 0.12 * k, rng.choice([0.005, 0.995])), 2)
    for _ in range(scene.crowd(rng, 16)):
        scene.stroll(rng, block.point(rng.uniform(0.1, 0.9), split + 0.03), 4)


def market(scene: Scene, block: Block, rng: np.random.Generator) -> None:
    """Adds a paved square with a fountain, rows of stalls and a crowd, and town houses around it."""
    width_m, height_m = block.size_m()
    scene.canvas.paint(block.part(0, 0, 1, 1), PAVING, ROAD, 0.35, 0.4)
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
        (4.6, LINE, ROAD),
        (4.0, ramp((150, 130, 76), (180, 164, 110), (214, 206, 170)), WATER),
        (0.9, LINE, ROAD),
    ):
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
            if (abs(u - 0.5) < 0.1 and abs(v - 0.5) < 0.14) or rng.random() < 0.18:
                continue
            spot = block.point(u, v + rng.normal(0, 0.004))
            tone = canvas_tones[int(rng.integers(len(canvas_tones)))]
            scene.build(rng, Building(spot, angle + rng.normal(0, 0.03), 3.6, 2.7, 2.5, "awning", tone))
    for v, count in ((0.09, 4), (0.91, 4)):
        for k in range(count):
            length = 0.82 * width_m / count * rng.uniform(0.86, 1.0)
            spot = block.point(0.09 + 0.82 * (k + 0.5) / count, v)
            kind = str(rng.choice(["gabled", "hipped", "flat"], p=[0.6, 0.25, 0.15]))
            scene.build(
                rng,
                Building(
                    spot, angle, length, 10.5, rng.uniform(8, 11), kind, roof_colour(rng, scene.appearance)
                ),
            )
    for u in (0.06, 0.12, 0.88, 0.94):
        for v in np.linspace(0.24, 0.76, 5):
            at = block.point(u, v)
            scene.canvas.paint(blob(rng, at, 1.1 * PX_PER_M), scene.appearance.grass, GRASS)
            scene.plant(rng, at, int(rng.integers(2, 4)))
    count = scene.crowd(rng, 230)
    for at in block.point(rng.uniform(0.16, 0.84, count), rng.uniform(0.2, 0.8, count)):
        scene.stroll(rng, at, 3.5)
