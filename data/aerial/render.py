"""The view of a world: ground, moving objects and their labels, before the sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Doubles, Frame, Matrix, Points
from .camera import Pose
from .canvas import MAP_PX, PX_PER_M, take
from .intruders import Intruder, IntruderKind, placed
from .labels import CAR, PERSON, ROOF, TREE
from .noise import Gray
from .sprites import SPRITE_PX_PER_M, Sprite
from .world import LIGHT_CELL_PX, AerialWorld

_SHADED = 128  # less light than this is shadow
_MARGIN_PX = 60.0  # of the map: the farthest that a car or person with its shadow extends from its middle


@dataclass(frozen=True)
class _Things:
    """Cars or people that a view may show.

    Attributes:
        numbers: int [n], their rows in ``Life``, or the looks of intruders: they choose the sprites.
        xy: [n, 2], map pixels in the view's part of the endless map.
        heading: [n], radians.
        sunlit: bool [n].
    """

    numbers: npt.NDArray[np.intp]
    xy: Points
    heading: Doubles
    sunlit: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _View:
    """A view that is being drawn.

    Attributes:
        world: the world.
        to_frame: [3, 3], from map pixels to those of the frame.
        frame: uint8 [H, W, 3] BGR, drawn to.
        mask: uint8 [H, W], its labels, drawn to.
        covered: bool [H, W], where roofs and crowns hide what is below them.
    """

    world: AerialWorld
    to_frame: Matrix
    frame: Frame
    mask: Gray
    covered: npt.NDArray[np.bool_]


def render(
    world: AerialWorld,
    pose: Pose,
    time_s: float,
    size_hw: tuple[int, int],
    intruders: Sequence[Intruder] = (),
) -> tuple[Frame, Gray]:
    """Draws the view from a pose at a time.

    Args:
        world: the place.
        pose: of the camera.
        time_s: seconds, for all that moves.
        size_hw: height and width of the frame.
        intruders: people and cars beside those of the place.

    Returns:
        The image, uint8 [H, W, 3] BGR, free of lens effects, and its labels, uint8 [H, W].
    """
    to_map = pose.frame_to_map(size_hw)
    height, width = size_hw
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    seen = _project(to_map, corners)
    left, top = (int(c) - 2 for c in np.floor(seen.min(axis=0)))
    right, bottom = (int(c) + 3 for c in np.ceil(seen.max(axis=0)))
    to_crop = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64) @ to_map
    ground = (take(layer, (left, top), (right, bottom)) for layer in (world.colour, world.labels))
    frame, mask = (
        _warp(layer, to_crop, (width, height), cv2.WARP_INVERSE_MAP | interpolation)
        for layer, interpolation in zip(ground, (cv2.INTER_LINEAR, cv2.INTER_NEAREST), strict=True)
    )
    to_frame = np.asarray(np.linalg.inv(to_map), np.float64)
    origin = np.array([left, top], np.float64)
    every_car = _with(world.life.cars(time_s), intruders, "car", time_s)
    everyone = _with(world.life.people(time_s), intruders, "person", time_s)
    cars = _seen(world, every_car, origin, to_frame, size_hw)
    people = _seen(world, everyone, origin, to_frame, size_hw)
    car_sprites = [world.sprites.car(int(k)) for k in cars.numbers]
    person_sprites = [world.sprites.person(int(k), time_s) for k in people.numbers]
    view = _View(world, to_frame, frame, mask, (mask == TREE) | (mask == ROOF))
    shadow = np.zeros(size_hw, np.uint8)
    _cast(view, shadow, cars, car_sprites)
    _cast(view, shadow, people, person_sprites)
    _darken(view, shadow)
    _draw(view, people, person_sprites, PERSON)
    _draw(view, cars, car_sprites, CAR)
    return frame, mask


def _warp(
    image: npt.NDArray[np.uint8], matrix: Matrix, size_wh: tuple[int, int], flags: int
) -> npt.NDArray[np.uint8]:
    border = cv2.BORDER_REPLICATE if flags & cv2.WARP_INVERSE_MAP else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpPerspective(image, matrix, size_wh, flags=flags, borderMode=border), np.uint8)


def _project(matrix: Matrix, xy: Points) -> Points:
    """Maps points [..., 2] by one homography [3, 3], or by one for each row: [n, 3, 3] and [n, k, 2]."""
    lifted = xy @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return np.asarray(lifted[..., :2] / lifted[..., 2:])


def _with(
    living: tuple[Points, Doubles], intruders: Sequence[Intruder], kind: IntruderKind, time_s: float
) -> tuple[Points, Doubles, npt.NDArray[np.intp]]:
    """Returns positions, headings and numbers of those that live here and of intruders of the same kind."""
    xy, heading = living
    numbers = np.arange(len(xy))
    if not intruders:
        return xy, heading, numbers
    more_xy, more_heading, looks = placed(intruders, kind, time_s)
    return (
        np.concatenate([xy, more_xy]),
        np.concatenate([heading, more_heading]),
        np.concatenate([numbers, np.array(looks, np.intp)]),
    )


def _seen(
    world: AerialWorld,
    there: tuple[Points, Doubles, npt.NDArray[np.intp]],
    origin: Points,
    to_frame: Matrix,
    size_hw: tuple[int, int],
) -> _Things:
    """Selects the cars or people that may be in the frame."""
    xy, heading, numbers = there
    start = origin - _MARGIN_PX
    local = np.mod(xy - start, MAP_PX) + start
    middle = _project(to_frame, local)
    scale = np.sqrt(abs(np.linalg.det(to_frame[:2, :2] / to_frame[2, 2])))
    reach = max(2.0 * _MARGIN_PX * scale, 40.0)
    height, width = size_hw
    inside = np.flatnonzero(
        (middle > -reach).all(axis=1) & (middle[:, 0] < width + reach) & (middle[:, 1] < height + reach)
    )
    local = local[inside]
    cell = (local // LIGHT_CELL_PX).astype(np.intp) % world.light.shape[0]
    return _Things(numbers[inside], local, heading[inside], world.light[cell[:, 1], cell[:, 0]] >= _SHADED)


def _turns(heading: Doubles) -> Points:
    """Returns rotations [n, 2, 2] for column vectors."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _cast(view: _View, shadow: Gray, things: _Things, sprites: list[Sprite]) -> None:
    """Draws the shadows of objects that are in the sun."""
    chosen = np.flatnonzero(things.sunlit)
    if not len(chosen):
        return
    hulls = np.stack([sprites[k].hull_xy for k in chosen])
    heights = np.array([sprites[k].height_m for k in chosen])
    base = (hulls @ np.swapaxes(_turns(things.heading[chosen]), -1, -2)) * PX_PER_M + things.xy[chosen][
        :, None
    ]
    top = base + (heights * PX_PER_M)[:, None, None] * view.world.appearance.shadow_xy
    points = np.concatenate([base, top], axis=1)
    # Seen from very low, a shadow may reach behind the camera, where it has no place in the frame.
    ahead = points @ view.to_frame[2, :2] + view.to_frame[2, 2]
    outlines = _project(view.to_frame, points[(ahead * _sign_ahead(view) > 0).all(axis=1)]).astype(np.float32)
    for outline in outlines:
        cv2.fillConvexPoly(
            shadow, np.rint(cv2.convexHull(outline) * 16).astype(np.int32), 255, cv2.LINE_AA, 4
        )


def _sign_ahead(view: _View) -> float:
    """Returns the sign that the depth of points ahead of the camera has: that of the frame's middle."""
    height, width = view.mask.shape
    middle = np.linalg.solve(view.to_frame, np.array([width / 2, height / 2, 1.0]))
    return float(np.sign(1 / middle[2]))


def _darken(view: _View, shadow: Gray) -> None:
    """Darkens the ground under a shadow mask; roofs and crowns, which are above it, keep their light."""
    shadow[view.covered] = 0
    share = np.arange(256)[:, None] / 255
    table = np.rint(255 * (1 - (1 - np.asarray(view.world.appearance.shade_bgr)) * share)).astype(np.uint8)
    gain = cv2.applyColorMap(cv2.blur(shadow, (3, 3)), table[:, None])
    cv2.multiply(view.frame, gain, dst=view.frame, scale=1 / 255)


def _draw(view: _View, things: _Things, sprites: list[Sprite], label: int) -> None:
    """Draws sprites at their places; a pixel gets the label if a sprite covers at least half of it."""
    if not sprites:
        return
    frame = view.frame
    sizes = np.array([sprite.bgra.shape[1::-1] for sprite in sprites], np.float64)
    place = np.zeros((len(sprites), 3, 3))
    place[:, :2, :2] = _turns(things.heading) * (PX_PER_M / SPRITE_PX_PER_M)
    place[:, :2, 2] = things.xy - (place[:, :2, :2] @ ((sizes - 1) / 2)[..., None])[..., 0]
    place[:, 2, 2] = 1
    matrices = view.to_frame @ place
    corners = sizes[:, None] * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    seen = _project(matrices, corners)
    lows = np.maximum(np.floor(seen.min(axis=1)).astype(int), 0)
    highs = np.minimum(np.ceil(seen.max(axis=1)).astype(int) + 1, (frame.shape[1], frame.shape[0]))
    shade = (np.asarray(view.world.appearance.shade_bgr) * 256).astype(np.uint16)
    for k in np.flatnonzero((lows < highs).all(axis=1)):
        (left, top), (right, bottom) = lows[k].tolist(), highs[k].tolist()
        matrix = matrices[k].copy()
        matrix[0] -= left * matrix[2]
        matrix[1] -= top * matrix[2]
        drawn = cv2.warpPerspective(
            sprites[k].bgra, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR
        )
        box = (slice(top, bottom), slice(left, right))
        alpha = drawn[..., 3]
        alpha[view.covered[box]] = 0
        colour = drawn[..., :3].astype(np.uint16)
        if not things.sunlit[k]:
            colour = np.right_shift(colour * shade, 8)
        weight = (alpha.astype(np.uint16) + (alpha >= 128))[..., None]  # 0 to 256
        part = frame[box]
        part[:] = np.right_shift(colour * weight + part * (256 - weight), 8)
        view.mask[box][alpha >= 128] = label
