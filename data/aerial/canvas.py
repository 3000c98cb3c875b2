"""The map during painting: a torus of colour, labels and light."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from .noise import Gray, NoiseBank, Ramp

MAP_PX = 4096
"""The side of the square map in pixels; opposite edges are connected."""

PX_PER_M = 12.5
"""Map pixels per metre: 8 cm for each pixel, 328 m for each side."""

Layer = npt.NDArray[np.uint8]


@dataclass
class Patch:
    """A rectangle of the canvas with its upper left corner at (x0, y0); code paints by writing to its arrays."""

    x0: int
    y0: int
    colour: npt.NDArray[np.uint8]
    labels: Gray
    light: Gray

    def mask(self, polygon_xy: Points) -> Gray:
        """Returns 255 inside a polygon in map coordinates, else 0."""
        mask = np.zeros(self.labels.shape, np.uint8)
        points = np.rint((polygon_xy - (self.x0, self.y0)) * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_8, shift=4)
        return mask

    def fill(self, mask: Gray, colours_bgr: npt.NDArray[np.uint8], label: int) -> None:
        """Writes colours [h, w, 3] and a label where the mask is set."""
        chosen = mask > 0
        np.copyto(self.colour, colours_bgr, where=chosen[..., None])
        np.copyto(self.labels, np.uint8(label), where=chosen)


def spans(start: int, stop: int) -> list[tuple[int, int]]:
    """Splits a range of the endless map into ranges of the map, at its seams."""
    found = []
    while start < stop:
        first = start % MAP_PX
        length = min(stop - start, MAP_PX - first)
        found.append((first, first + length))
        start += length
    return found


def take(layer: Layer, low_xy: tuple[int, int], high_xy: tuple[int, int]) -> Layer:
    """Returns a rectangle of the endless map: a view if it crosses no seam, else a copy made of parts."""
    rows = []
    for y0, y1 in spans(low_xy[1], high_xy[1]):
        row = [layer[y0:y1, x0:x1] for x0, x1 in spans(low_xy[0], high_xy[0])]
        rows.append(row[0] if len(row) == 1 else np.concatenate(row, axis=1))
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=0)


def _put(layer: Layer, low_xy: tuple[int, int], high_xy: tuple[int, int], part: Layer) -> None:
    top = 0
    for y0, y1 in spans(low_xy[1], high_xy[1]):
        left = 0
        for x0, x1 in spans(low_xy[0], high_xy[0]):
            layer[y0:y1, x0:x1] = part[top : top + y1 - y0, left : left + x1 - x0]
            left += x1 - x0
        top += y1 - y0


class Canvas:
    """Colour (BGR albedo), labels and light (255 in the sun, less in shadow) of the whole map.

    A window may cross the seams: its patch is then a copy, which is written back when the block ends.
    """

    def __init__(self, noise: NoiseBank) -> None:
        self.noise = noise
        self.colour = np.zeros((MAP_PX, MAP_PX, 3), np.uint8)
        self.labels = np.zeros((MAP_PX, MAP_PX), np.uint8)
        self.light = np.full((MAP_PX, MAP_PX), 255, np.uint8)

    @contextmanager
    def window(self, x0: int, y0: int, width: int, height: int) -> Iterator[Patch]:
        """Opens a rectangle for painting."""
        low, high = (x0, y0), (x0 + width, y0 + height)
        layers = (self.colour, self.labels, self.light)
        parts = [take(layer, low, high) for layer in layers]
        yield Patch(x0, y0, *parts)
        if not np.shares_memory(parts[1], self.labels):
            for layer, part in zip(layers, parts, strict=True):
                _put(layer, low, high, part)

    @contextmanager
    def around(self, points_xy: Points, margin: int = 2) -> Iterator[Patch]:
        """Opens the bounding rectangle of some points."""
        low = np.floor(points_xy.min(axis=0)).astype(int) - margin
        high = np.ceil(points_xy.max(axis=0)).astype(int) + margin + 1
        with self.window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])) as patch:
            yield patch

    def texture(self, patch: Patch, mottle: float, grain: float, cloud: float = 0.0) -> Gray:
        """Returns a uint8 index [h, w] for a ramp: the noises under a patch, mixed by their weights."""
        height, width = patch.labels.shape
        crop = self.noise.crop
        mixed = cv2.addWeighted(
            crop(self.noise.mottle, patch.x0, patch.y0, width, height),
            mottle,
            crop(self.noise.grain, patch.x0 * 3 + 77, patch.y0 * 3 + 131, width, height),
            grain,
            128 * (1 - mottle - grain),
        )
        if cloud:
            soft = crop(self.noise.cloud, patch.x0, patch.y0, width, height)
            mixed = cv2.addWeighted(mixed, 1.0, soft, cloud, -128 * cloud)
        return np.asarray(mixed, np.uint8)

    def paint(
        self, polygon_xy: Points, table: Ramp, label: int, mottle: float = 0.5, grain: float = 0.5
    ) -> None:
        """Fills a polygon with a noisy material."""
        with self.around(polygon_xy) as patch:
            colours = cv2.applyColorMap(self.texture(patch, mottle, grain), table)
            patch.fill(patch.mask(polygon_xy), np.asarray(colours, np.uint8), label)

    def line(
        self,
        points_xy: Points,
        width_m: float,
        table: Ramp,
        label: int,
        mottle: float = 0.5,
        grain: float = 0.5,
    ) -> None:
        """Draws an open line of a noisy material with round joints: a path, a hedge."""
        thickness = max(1, round(width_m * PX_PER_M))
        with self.around(points_xy, margin=thickness) as patch:
            mask = np.zeros(patch.labels.shape, np.uint8)
            local = np.rint(points_xy - (patch.x0, patch.y0)).astype(np.int32)
            cv2.polylines(mask, [local], False, 255, thickness)
            colours = cv2.applyColorMap(self.texture(patch, mottle, grain), table)
            patch.fill(mask, np.asarray(colours, np.uint8), label)


def box(centre_xy: Points, angle: float, length_px: float, width_px: float) -> Points:
    """Returns the four corners of a rectangle turned by ``angle`` (radians, its length along x at 0)."""
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    half_l, half_w = along * length_px / 2, across * width_px / 2
    return np.array(
        [
            centre_xy + half_l + half_w,
            centre_xy + half_l - half_w,
            centre_xy - half_l - half_w,
            centre_xy - half_l + half_w,
        ]
    )


def swept(outline_xy: Points, by_xy: Points) -> Points:
    """Returns the convex outline of the area that a convex shape covers while it moves: a box's shadow."""
    both = np.concatenate([outline_xy, outline_xy + by_xy]).astype(np.float32)
    return np.asarray(cv2.convexHull(both)[:, 0], np.float64)
