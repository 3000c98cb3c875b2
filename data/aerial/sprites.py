"""Sprites: small images of cars and people from above, drawn large and reduced smoothly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from .appearance import Bgr, scaled

SPRITE_PX_PER_M = 20.0
"""Sprite pixels per metre: 5 cm for each pixel, finer than the map."""

_OVER = 4  # drawn this many times larger

_PAINTS: tuple[Bgr, ...] = (
    (236, 238, 238), (236, 238, 238), (206, 208, 210), (150, 152, 154), (92, 94, 96), (44, 44, 46), (36, 38, 44),
    (52, 44, 168), (40, 40, 120), (140, 76, 36), (176, 120, 60), (70, 96, 52), (64, 130, 190), (54, 160, 206),
    (110, 136, 150),
)  # fmt: skip
_CLOTHES: tuple[Bgr, ...] = (
    (222, 226, 228), (62, 58, 160), (136, 92, 52), (60, 60, 62), (70, 156, 196), (92, 124, 80), (128, 84, 124),
    (124, 130, 180), (96, 70, 46), (176, 172, 120), (64, 104, 186), (90, 92, 100), (44, 42, 46), (150, 156, 164),
)  # fmt: skip
_HAIR: tuple[Bgr, ...] = (
    (28, 32, 40),
    (40, 58, 84),
    (90, 140, 180),
    (150, 154, 160),
    (36, 44, 110),
    (210, 214, 220),
)
_SKIN: tuple[Bgr, ...] = ((150, 180, 224), (120, 156, 206), (70, 98, 146), (48, 66, 100))


@dataclass(frozen=True)
class Sprite:
    """An image of an object that faces +x, with its middle at the image's middle.

    Attributes:
        bgra: uint8 [h, w, 4]; alpha is coverage.
        height_m: the height of the object, for its shadow.
        hull_xy: outline for the shadow in metres from the middle, float64 [n, 2].
    """

    bgra: npt.NDArray[np.uint8]
    height_m: float
    hull_xy: Points


class _Pen:
    """A drawing tool in metres around the middle of a sprite."""

    def __init__(self, length_m: float, width_m: float) -> None:
        scale = SPRITE_PX_PER_M * _OVER
        self.shape = (
            int(np.ceil(width_m * SPRITE_PX_PER_M / 2) * 2 + 4),
            int(np.ceil(length_m * SPRITE_PX_PER_M / 2) * 2 + 4),
        )
        self.colour = np.zeros((self.shape[0] * _OVER, self.shape[1] * _OVER, 3), np.uint8)
        self.alpha = np.zeros(self.colour.shape[:2], np.uint8)
        self._scale = scale
        self._middle = np.array([self.colour.shape[1] / 2, self.colour.shape[0] / 2])

    def polygon(self, xy_m: npt.ArrayLike, colour: Bgr, solid: bool = True) -> None:
        points = np.rint(np.asarray(xy_m, np.float64) * self._scale + self._middle).astype(np.int32)
        cv2.fillPoly(self.colour, [points], colour)
        if solid:
            cv2.fillPoly(self.alpha, [points], 255)

    def ellipse(self, centre_m: tuple[float, float], axes_m: tuple[float, float], colour: Bgr) -> None:
        turn = np.linspace(0, 2 * np.pi, 40)
        self.polygon(
            np.stack([centre_m[0] + axes_m[0] * np.cos(turn), centre_m[1] + axes_m[1] * np.sin(turn)], -1),
            colour,
        )

    def body(
        self, x0: float, x1: float, half_width: float, corner: float, colour: Bgr, solid: bool = True
    ) -> None:
        """Draws a rectangle from x0 to x1 with rounded corners."""
        turn = np.linspace(0, np.pi / 2, 8)
        corners = [
            np.stack([cx + corner * np.cos(turn + k * np.pi / 2), cy + corner * np.sin(turn + k * np.pi / 2)], -1)
            for k, (cx, cy) in enumerate(
                ((x1 - corner, half_width - corner), (x0 + corner, half_width - corner),
                 (x0 + corner, corner - half_width), (x1 - corner, corner - half_width))
            )
        ]  # fmt: skip
        self.polygon(np.concatenate(corners), colour, solid)

    def finish(self) -> npt.NDArray[np.uint8]:
        """Returns the sprite at its own size; colours are spread outwards so that edges do not darken."""
        alpha = cv2.resize(self.alpha, self.shape[::-1], interpolation=cv2.INTER_AREA)
        weight = (self.alpha > 0).astype(np.float32)
        weighted = cv2.resize(self.colour * weight[..., None], self.shape[::-1], interpolation=cv2.INTER_AREA)
        share = cv2.resize(weight, self.shape[::-1], interpolation=cv2.INTER_AREA)
        solid = weighted / np.maximum(share, 1e-3)[..., None]
        reach = cv2.blur(weighted, (5, 5)) / np.maximum(cv2.blur(share, (5, 5)), 1e-3)[..., None]
        colour = np.where(share[..., None] > 0.02, solid, reach)
        return np.dstack([np.clip(colour, 0, 255).astype(np.uint8), alpha])


def draw_car(rng: np.random.Generator) -> Sprite:
    """Draws a hatchback, saloon, estate, van or lorry in one of the usual colours."""
    kind = str(rng.choice(["hatch", "saloon", "estate", "van", "lorry"], p=[0.3, 0.32, 0.2, 0.13, 0.05]))
    length, width, height = {
        "hatch": (4.0, 1.78, 1.5), "saloon": (4.7, 1.84, 1.45), "estate": (4.8, 1.86, 1.6),
        "van": (5.4, 2.05, 2.2), "lorry": (7.2, 2.35, 3.0),
    }[kind]  # fmt: skip
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    glass: Bgr = (62, 54, 46)
    pen = _Pen(length, width + 0.36)
    nose, tail, half = length / 2, -length / 2, width / 2
    for x in (nose - length * 0.36,):  # mirrors
        pen.body(x - 0.12, x + 0.1, half + 0.14, 0.04, scaled(paint, 0.6))
    pen.body(tail, nose, half, 0.38 if kind not in ("van", "lorry") else 0.2, scaled(paint, 0.72))
    pen.body(tail + 0.07, nose - 0.07, half - 0.08, 0.32, paint)
    if kind == "lorry":
        box_tone = _PAINTS[int(rng.integers(4))]
        pen.body(nose - 1.9, nose - 0.25, half - 0.1, 0.15, scaled(paint, 1.08))
        pen.polygon(
            [
                (nose - 0.55, -half + 0.25),
                (nose - 0.3, -half + 0.35),
                (nose - 0.3, half - 0.35),
                (nose - 0.55, half - 0.25),
            ],
            glass,
        )
        pen.body(tail + 0.02, nose - 2.05, half, 0.05, scaled(box_tone, 0.86))
        pen.body(tail + 0.1, nose - 2.13, half - 0.08, 0.04, box_tone)
    else:
        shield = nose - {"hatch": 1.05, "saloon": 1.35, "estate": 1.3, "van": 0.75}[kind]
        rear = tail + {"hatch": 0.25, "saloon": 0.95, "estate": 0.25, "van": 0.2}[kind]
        pen.body(rear, shield, half - 0.14, 0.22, glass)
        slope, back = (0.62, 0.5) if kind != "van" else (0.45, 0.1)
        pen.body(rear + back, shield - slope, half - 0.24, 0.2, scaled(paint, 1.06))
        inner = half - 0.4
        pen.polygon(
            [
                (rear + back + 0.2, -inner),
                (shield - slope - 0.2, -inner),
                (shield - slope - 0.2, -inner + 0.3),
                (rear + back + 0.2, -inner + 0.3),
            ],
            scaled(paint, 1.18),
        )
        for side in (-1, 1):  # creases of the bonnet
            pen.polygon(
                [
                    (shield + 0.05, side * (half - 0.42)),
                    (nose - 0.25, side * (half - 0.5)),
                    (nose - 0.25, side * (half - 0.56)),
                    (shield + 0.05, side * (half - 0.48)),
                ],
                scaled(paint, 0.86),
            )
    for side in (-1, 1):
        pen.ellipse((nose - 0.16, side * (half - 0.34)), (0.13, 0.2), (214, 222, 226))
        pen.ellipse((tail + 0.1, side * (half - 0.3)), (0.08, 0.2), (40, 36, 150))
    hull = np.array([(tail, -half), (nose, -half), (nose, half), (tail, half)])
    return Sprite(pen.finish(), height, hull)


def draw_person(rng: np.random.Generator, stride: float) -> Sprite:
    """Draws shoulders, head, arms and the forward leg; ``stride`` from -1 to 1 is the phase of the step."""
    cloth = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
    trousers = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
    hair, skin = _HAIR[int(rng.integers(len(_HAIR)))], _SKIN[int(rng.integers(len(_SKIN)))]
    pack = rng.random() < 0.3
    size = float(rng.uniform(0.96, 1.16))
    pen = _Pen(1.25, 1.1)

    def ellipse(x: float, y: float, rx: float, ry: float, colour: Bgr) -> None:
        pen.ellipse((x * size, y * size), (rx * size, ry * size), colour)

    ellipse(0.16 * stride + 0.05, 0.12, 0.26, 0.11, scaled(trousers, 0.7))
    ellipse(-0.16 * stride + 0.05, -0.12, 0.26, 0.11, scaled(trousers, 0.7))
    ellipse(-0.2 * stride, 0.37, 0.2, 0.09, scaled(cloth, 0.8))
    ellipse(0.2 * stride, -0.37, 0.2, 0.09, scaled(cloth, 0.8))
    ellipse(-0.2 * stride + 0.17, 0.37, 0.07, 0.07, skin)
    ellipse(0.2 * stride + 0.17, -0.37, 0.07, 0.07, skin)
    ellipse(0, 0, 0.23, 0.4, scaled(cloth, 0.85))
    ellipse(-0.02, 0, 0.18, 0.34, cloth)
    if pack:
        ellipse(-0.22, 0, 0.15, 0.2, scaled(trousers, 0.9))
    ellipse(0.1, 0, 0.13, 0.12, skin)
    ellipse(0.05, 0, 0.15, 0.15, hair)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    hull = np.stack([0.2 * np.cos(turn), 0.34 * np.sin(turn)], -1) * size
    return Sprite(pen.finish(), 1.75 * size, hull)


class SpriteBank:
    """The cars and people of one place. Number k always looks like sprite ``k % count``."""

    STEP = (0, 1, 2, 1)

    def __init__(self, rng: np.random.Generator) -> None:
        self.cars = [draw_car(rng) for _ in range(47)]
        self.people: list[list[Sprite]] = []
        for _ in range(37):
            state = int(rng.integers(1 << 30))
            self.people.append(
                [draw_person(np.random.Generator(np.random.PCG64(state)), s) for s in (-1.0, 0.0, 1.0)]
            )

    def car(self, k: int) -> Sprite:
        """Returns car number k."""
        return self.cars[k * 7 % len(self.cars)]

    def person(self, k: int, time_s: float) -> Sprite:
        """Returns person number k at the current phase of the step."""
        phase = self.STEP[int(time_s * 4 + k) % len(self.STEP)]
        return self.people[k * 5 % len(self.people)][phase]
