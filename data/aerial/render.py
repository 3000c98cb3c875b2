"""One view of a world: ground, moving things and their labels, before the sensor."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from .camera import Frame, Matrix, Pose, light_at
from .canvas import MAP_PX, PX_PER_M, Points
from .labels import CAR, PERSON, ROOF, TREE
from .noise import Gray
from .sprites import SPRITE_PX_PER_M, Sprite
from .world import LIGHT_CELL_PX, AerialWorld

Placed = tuple[Sprite, float, float, float]  # sprite, x, y (map pixels near the view), heading


def render(world: AerialWorld, pose: Pose, time_s: float, size_hw: tuple[int, int]) -> tuple[Frame, Gray]:
    """Draws the view from a pose at a time.

    Returns:
        The picture, uint8 [H, W, 3] BGR, free of lens effects, and its labels, uint8 [H, W].
    """
    to_map = pose.frame_to_map(size_hw)
    height, width = size_hw
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    seen = _project(to_map, corners)
    low = np.floor(seen.min(axis=0)).astype(int) - 2
    high = np.ceil(seen.max(axis=0)).astype(int) + 3
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]], np.float64)
    flags = cv2.WARP_INVERSE_MAP
    frame = cv2.warpPerspective(_crop(world.colour, low, high), shift @ to_map, (width, height),
                                flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    mask = cv2.warpPerspective(_crop(world.labels, low, high), shift @ to_map, (width, height),
                               flags=flags | cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    to_frame = np.linalg.inv(to_map)
    cars_xy, cars_heading = world.life.cars(time_s)
    people_xy, people_heading = world.life.people(time_s)
    cars = [(world.sprites.car(k), x, y, cars_heading[k]) for k, x, y in _near(cars_xy, low, high, 50)]
    people = [
        (world.sprites.person(k, time_s), x, y, people_heading[k])
        for k, x, y in _near(people_xy, low, high, 10)
    ]
    out_frame, out_mask = np.ascontiguousarray(frame), np.ascontiguousarray(mask)
    covered = (out_mask == TREE) | (out_mask == ROOF)
    _cast(world, out_frame, to_frame, cars + people, covered)
    for things, label in ((people, PERSON), (cars, CAR)):
        for thing in things:
            _draw(world, out_frame, out_mask, covered, to_frame, thing, label)
    return out_frame, out_mask


def _project(matrix: Matrix, xy: Points) -> Points:
    lifted = np.concatenate([xy, np.ones((len(xy), 1))], axis=1) @ matrix.T
    return np.asarray(lifted[:, :2] / lifted[:, 2:])


def _crop(
    layer: npt.NDArray[np.uint8], low: npt.NDArray[np.int_], high: npt.NDArray[np.int_]
) -> npt.NDArray[np.uint8]:
    """A rectangle of the endless map: a view where no seam is crossed, else put together from its parts."""
    parts = []
    for y0, y1 in _spans(int(low[1]), int(high[1])):
        row = [layer[y0:y1, x0:x1] for x0, x1 in _spans(int(low[0]), int(high[0]))]
        parts.append(row[0] if len(row) == 1 else np.concatenate(row, axis=1))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=0)


def _spans(start: int, stop: int) -> list[tuple[int, int]]:
    spans = []
    while start < stop:
        first = start % MAP_PX
        length = min(stop - start, MAP_PX - first)
        spans.append((first, first + length))
        start += length
    return spans


def _near(
    xy: Points, low: npt.NDArray[np.int_], high: npt.NDArray[np.int_], margin: float
) -> list[tuple[int, float, float]]:
    """Number and place of the things within a window, taken to the window's copy of the map."""
    base = low - margin
    local = np.mod(xy - base, MAP_PX)
    inside = np.flatnonzero((local < high - low + 2 * margin).all(axis=1))
    return [(int(k), float(x), float(y)) for k, (x, y) in zip(inside, local[inside] + base, strict=True)]


def _cast(
    world: AerialWorld,
    frame: Frame,
    to_frame: Matrix,
    things: Iterable[Placed],
    covered: npt.NDArray[np.bool_],
) -> None:
    """Darkens the ground in the shadows of cars and people; roofs and crowns above stay lit."""
    shadow = np.zeros(frame.shape[:2], np.uint8)
    for sprite, x, y, heading in things:
        if light_at(world.light, LIGHT_CELL_PX, x, y) < 128:
            continue
        turn = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        base = sprite.hull_xy @ turn * PX_PER_M + (x, y)
        top = base + world.look.shadow_xy * sprite.height_m * PX_PER_M
        outline = cv2.convexHull(_project(to_frame, np.concatenate([base, top])).astype(np.float32))
        cv2.fillConvexPoly(shadow, np.rint(outline * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    shadow[covered] = 0
    x0, y0, width, height = cv2.boundingRect(shadow)
    if width == 0:
        return
    part = frame[y0 : y0 + height, x0 : x0 + width]
    soft = cv2.blur(shadow[y0 : y0 + height, x0 : x0 + width], (3, 3))
    levels = np.arange(256) / 255
    gains = [np.rint(255 * (1 - (1 - shade) * levels)).astype(np.uint8) for shade in world.look.shade_bgr]
    part[:] = cv2.multiply(part, cv2.merge([cv2.LUT(soft, gain) for gain in gains]), scale=1 / 255)


def _draw(world: AerialWorld, frame: Frame, mask: Gray, covered: npt.NDArray[np.bool_], to_frame: Matrix,
          thing: Placed, label: int) -> None:  # fmt: skip
    """Brings one sprite down at its place; its label goes wherever it covers at least half of a pixel."""
    sprite, x, y, heading = thing
    rows, columns = sprite.bgra.shape[:2]
    scale = PX_PER_M / SPRITE_PX_PER_M
    cos, sin = np.cos(heading) * scale, np.sin(heading) * scale
    cx, cy = (columns - 1) / 2, (rows - 1) / 2
    place = np.array([[cos, -sin, x - cos * cx + sin * cy], [sin, cos, y - sin * cx - cos * cy], [0, 0, 1]])
    matrix = to_frame @ place
    outline = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float64)
    seen = _project(matrix, outline)
    low = np.maximum(np.floor(seen.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(seen.max(axis=0)).astype(int) + 1, (frame.shape[1], frame.shape[0]))
    if (low >= high).any():
        return
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    local = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ matrix
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    drawn = cv2.warpPerspective(sprite.bgra, local, size, flags=cv2.INTER_LINEAR)
    alpha = drawn[..., 3]
    alpha[covered[box]] = 0
    colour = drawn[..., :3].astype(np.uint16)
    if light_at(world.light, LIGHT_CELL_PX, x, y) < 128:
        colour = (colour * (np.asarray(world.look.shade_bgr) * 255).astype(np.uint16)) // 255
    weight = alpha.astype(np.uint16)[..., None]
    part = frame[box]
    part[:] = (colour * weight + part * (255 - weight)) // 255
    mask[box][alpha >= 128] = label
