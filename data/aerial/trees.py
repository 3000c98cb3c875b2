"""Trees from above: irregular crowns, their shadows, hedges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from .appearance import Appearance, Bgr
from .canvas import PX_PER_M, Canvas
from .labels import TREE
from .noise import Gray


@dataclass(frozen=True)
class Crown:
    """One rendered crown: colours uint8 [n, n, 3] and its coverage uint8 [n, n], 255 where leaves hide the ground."""

    colours: npt.NDArray[np.uint8]
    alpha: Gray

    @property
    def size(self) -> int:
        """The side of the square in pixels."""
        return int(self.alpha.shape[0])


RADII_M = (0.7, 1.1, 1.6, 2.2, 2.9, 3.7)


def render_crown(rng: np.random.Generator, appearance: Appearance, radius_m: float, colour_bgr: Bgr) -> Crown:
    """Draws a crown of round clumps of leaves, lit from the sun's side."""
    radius = radius_m * PX_PER_M
    n = int(radius * 2.7) + 8
    x = np.arange(n, dtype=np.float32)[None, :] - np.float32(n / 2)
    y = x.T
    height = np.full((n, n), -1.0, np.float32)
    tone = np.zeros((n, n), np.float32)
    count = 26 + int(radius * 1.5)
    for k in range(count):
        spread = radius * 0.84 * np.sqrt(rng.uniform(0, 1))
        turn = rng.uniform(0, 2 * np.pi)
        size = radius * rng.uniform(0.13, 0.36) + 1.5 if k else radius * 0.6
        cx, cy = (spread * np.cos(turn), spread * np.sin(turn)) if k else (0.0, 0.0)
        low_x, low_y = (max(int(c - size + n / 2), 0) for c in (cx, cy))
        part = (slice(low_y, int(cy + size + n / 2) + 2), slice(low_x, int(cx + size + n / 2) + 2))
        dome = size * size - (x[:, part[1]] - np.float32(cx)) ** 2 - (y[part[0]] - np.float32(cy)) ** 2
        top = np.sqrt(np.maximum(dome, 0)) * 0.75 + np.float32(0.62 * (radius - spread) * (k > 0))
        higher = (dome > 0) & (top > height[part])
        height[part][higher] = top[higher]
        tone[part][higher] = rng.uniform(-0.14, 0.14)
    leaves = cv2.GaussianBlur(rng.standard_normal((n, n), np.float32), (0, 0), 0.8) * 2.4
    glint = rng.standard_normal((n, n), np.float32)
    lumps = cv2.GaussianBlur(rng.standard_normal((n, n), np.float32), (0, 0), 1.9) * 5.0
    alpha = np.clip((height + 0.6 + 1.3 * leaves + 1.1 * lumps) * 80, 0, 255)
    alpha[height < 0] = 0
    rough = height + 1.1 * leaves + 1.0 * lumps
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(rough, (0, 0), 0.6))
    normal = 1 / np.sqrt(slope_x**2 + slope_y**2 + 0.9)
    lit = (
        0.95 * appearance.to_sun[2] - slope_x * appearance.to_sun[0] - slope_y * appearance.to_sun[1]
    ) * normal
    depth = (
        np.clip(cv2.GaussianBlur(height, (0, 0), radius * 0.12 + 1) - height, 0, 6) / 6
    )  # gaps between clumps
    shade = (
        np.clip(0.48 + 0.48 * lit, 0.26, 1.25) * (1 + tone + 0.10 * leaves + 0.10 * glint) * (1 - 0.5 * depth)
    )
    warm = np.clip(shade - 0.7, 0, 1)[..., None] * np.array((0.0, 0.12, 0.2), np.float32)
    colours = np.asarray(colour_bgr, np.float32) * (shade[..., None] + warm) * np.float32(1.22)
    return Crown(np.clip(colours, 0, 255).astype(np.uint8), alpha.astype(np.uint8))


class Orchard:
    """The crowns of one place, rendered once: a few of each size in each colour of the season."""

    def __init__(self, rng: np.random.Generator, appearance: Appearance) -> None:
        self.by_size = [
            [
                render_crown(rng, appearance, r * rng.uniform(0.9, 1.1), colour)
                for colour in appearance.tree_bgr
                for _ in range(2)
            ]
            for r in RADII_M
        ]

    def pick(self, rng: np.random.Generator, size: int) -> Crown:
        """Returns a crown of the given size class, 0 to 5."""
        crowns = self.by_size[min(max(size, 0), len(RADII_M) - 1)]
        return crowns[int(rng.integers(len(crowns)))]


@dataclass(frozen=True)
class Tree:
    """A crown at a place, ``height_m`` above the ground."""

    centre_xy: Points
    crown: Crown
    height_m: float


def cast_shadow(canvas: Canvas, tree: Tree, appearance: Appearance) -> None:
    """Draws the crown's shadow on everything below: ground, parking places, roofs."""
    fall = appearance.shadow_xy * tree.height_m * PX_PER_M
    for share in (0.3, 0.55, 0.8):  # a crown is deep: one shadow each for its lower, middle and upper part
        corner = np.rint(tree.centre_xy + fall * share - tree.crown.size / 2).astype(int)
        with canvas.window(int(corner[0]), int(corner[1]), tree.crown.size, tree.crown.size) as patch:
            np.minimum(patch.light, 255 - (tree.crown.alpha // 10) * 8, out=patch.light)


def paint_tree(canvas: Canvas, tree: Tree) -> None:
    """Blends the crown in; the label is tree where leaves cover at least half of the ground."""
    corner = np.rint(tree.centre_xy - tree.crown.size / 2).astype(int)
    with canvas.window(int(corner[0]), int(corner[1]), tree.crown.size, tree.crown.size) as patch:
        alpha = tree.crown.alpha.astype(np.uint16)[..., None]
        mixed = (tree.crown.colours * alpha + patch.colour * (255 - alpha)) // 255
        patch.colour[:] = mixed.astype(np.uint8)
        patch.labels[tree.crown.alpha >= 128] = TREE
