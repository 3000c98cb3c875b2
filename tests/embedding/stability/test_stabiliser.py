"""The stabiliser: what flickers is steadied, what moves is followed, and what cannot be followed is not averaged."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.labels import VOID, LabelMap
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.pose import Mount
from edgeseg.embedding.stability.motion import DenseFlow, ground_positions, likeness, small_size
from edgeseg.embedding.stability.options import StabiliserOptions
from edgeseg.embedding.stability.stabiliser import Smoothed, Stabiliser

from ..conftest import GRASS, LABELS, PERSON, ROAD, MakePose

SIZE_HW = (240, 320)
STEP_S = 0.1


def texture(seed: int, size_hw: tuple[int, int] = (400, 600)) -> np.ndarray:
    """A picture with structure at many scales, which flow can follow, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    grey = np.zeros(size_hw, np.float32)
    for scale in (4, 10, 30):
        coarse = rng.standard_normal((size_hw[0] // scale + 2, size_hw[1] // scale + 2)).astype(np.float32)
        grey += cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    grey = np.clip(128 + 30 * grey, 20, 235)
    return np.dstack([grey.astype(np.uint8)] * 3)


WIDE = texture(1)
LAND = np.where(np.arange(600) % 90 < 55, GRASS, ROAD).astype(np.uint8)[None].repeat(400, 0)
"""Upright stripes of grass and road on the picture."""


def seen(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its classes, after the camera has moved by a number of pixels to the right."""
    part = np.s_[20 : 20 + SIZE_HW[0], 20 + shift : 20 + shift + SIZE_HW[1]]
    return np.ascontiguousarray(WIDE[part]), LAND[part].copy()


def run(
    stabiliser: Stabiliser, frames: list[tuple[np.ndarray, np.ndarray]], start: float = 0.0
) -> list[Smoothed]:
    return [
        stabiliser.update(frame, classes, start + STEP_S * number)
        for number, (frame, classes) in enumerate(frames)
    ]


def flicker(classes: np.ndarray, number: int) -> np.ndarray:
    """Every third frame has a block of road where there is grass."""
    noisy = classes.copy()
    if number % 3 == 1:
        noisy[100:140, 100:140] = ROAD
    return noisy


def inner_changes(maps: list[np.ndarray], shift: int) -> int:
    """Pixels that change between frames once the known motion is taken out; a margin at the sides is left out."""
    total = 0
    for before, now in itertools.pairwise(maps):
        total += int((before[:, 20 + shift : -20] != now[:, 20 : -20 - shift]).sum())
    return total


def test_a_static_scene_is_left_as_the_network_gave_it() -> None:
    frame, classes = seen(0)
    classes[50, :] = ROAD  # thinner than a small pixel would show
    results = run(Stabiliser(LABELS), [(frame, classes)] * 8)
    assert all(result.classes is classes for result in results)
    assert [result.frames for result in results] == list(range(1, 9))
    assert [result.reset for result in results] == ["first"] + [""] * 7
    assert results[-1].changed_share == 0


@pytest.mark.parametrize("shift", [0, 3])
def test_what_flickers_is_steadied_under_motion(shift: int) -> None:
    views = [seen(shift * number) for number in range(13)]
    noisy = [(frame, flicker(classes, number)) for number, (frame, classes) in enumerate(views)]
    smooth = [result.classes for result in run(Stabiliser(LABELS), noisy)]
    raw = [classes for _, classes in noisy]
    assert inner_changes(smooth[2:], shift) < 0.1 * inner_changes(raw[2:], shift)
    truth = [classes for _, classes in views]
    for ours, network, true in zip(smooth[4::3], raw[4::3], truth[4::3], strict=True):
        assert (ours != true).mean() < 0.2 * (network != true).mean()


def test_classes_do_not_drift_behind_the_camera() -> None:
    views = [seen(3 * number) for number in range(30)]
    last = run(Stabiliser(LABELS), views)[-1]
    wrong = last.classes != views[-1][1]
    assert wrong.mean() < 0.005
    borders = cv2.morphologyEx(views[-1][1], cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    assert not (wrong & ~borders).any()


def test_a_change_counts_when_two_frames_show_it() -> None:
    frame, before = seen(0)
    after = before.copy()
    after[80:160, 80:160] = PERSON
    results = run(Stabiliser(LABELS), [(frame, before)] * 6 + [(frame, after)] * 4)
    assert not (results[6].classes == PERSON).any()
    np.testing.assert_array_equal(results[8].classes, after)


def test_a_hazard_enters_at_once_and_leaves_slowly() -> None:
    frame, without = seen(0)
    person = without.copy()
    person[80:160, 81:83] = PERSON
    person[100:140, 100:140] = PERSON
    stabiliser = Stabiliser(LABELS, StabiliserOptions(hazards=("person",)))
    results = run(stabiliser, [(frame, without)] * 4 + [(frame, person)] + [(frame, without)] * 8)
    np.testing.assert_array_equal(results[4].classes == PERSON, person == PERSON)
    shown = [bool((result.classes[105:135, 105:135] == PERSON).all()) for result in results[4:]]
    assert shown == [True] * 5 + [False] * 4
    assert not (results[-1].classes == PERSON).any()


def test_what_looks_different_is_taken_as_the_network_gives_it() -> None:
    """A car drives in: the picture changes there, so the frames before have no say."""
    frame, before = seen(0)
    changed, after = frame.copy(), before.copy()
    changed[80:160, 80:160] = 5
    after[80:160, 80:160] = PERSON
    results = run(Stabiliser(LABELS), [(frame, before)] * 6 + [(changed, after)])
    assert (results[-1].classes[84:156, 84:156] == PERSON).mean() > 0.95


def test_a_change_of_light_does_not_end_the_average() -> None:
    frame, classes = seen(0)
    brighter = cv2.convertScaleAbs(frame, alpha=1.0, beta=18)
    results = run(Stabiliser(LABELS), [(frame, classes), (brighter, flicker(classes, 1))])
    assert results[1].reset == ""
    np.testing.assert_array_equal(results[1].classes, classes)


def test_another_scene_begins_anew() -> None:
    frame, classes = seen(0)
    other = np.ascontiguousarray(texture(5)[: SIZE_HW[0], : SIZE_HW[1]])
    fresh = np.full(SIZE_HW, PERSON, np.uint8)
    results = run(Stabiliser(LABELS), [(frame, classes)] * 5 + [(other, fresh)])
    assert (results[-1].reset, results[-1].frames) == ("cut", 1)
    assert results[-1].classes is fresh


def test_another_size_a_gap_and_a_step_back_in_time_begin_anew() -> None:
    stabiliser = Stabiliser(LABELS)
    frame, classes = seen(0)
    small = np.ascontiguousarray(frame[:200]), np.ascontiguousarray(classes[:200])
    resets = [
        stabiliser.update(*pair, at).reset
        for pair, at in (
            ((frame, classes), 1.0), ((frame, classes), 1.1), (small, 1.2), (small, 1.7), (small, 2.21), (small, 2.0)
        )
    ]  # fmt: skip
    assert resets == ["first", "", "size-changed", "", "gap", "gap"]
    stabiliser.reset()
    assert stabiliser.update(*small, 2.1).reset == "first"


def test_void_stays_void() -> None:
    frame, classes = seen(0)
    holed = classes.copy()
    holed[60:120, 60:120] = VOID
    results = run(Stabiliser(LABELS), [(frame, classes)] * 4 + [(frame, holed)])
    assert (results[-1].classes[60:120, 60:120] == VOID).all()
    nothing = np.full(SIZE_HW, VOID, np.uint8)
    assert run(Stabiliser(LABELS), [(frame, nothing)] * 3)[-1].classes is nothing


def test_many_classes_keep_their_ids() -> None:
    labels = LabelMap.from_pairs([(f"class {number}", (number, 0, 0)) for number in range(150)])
    frame, base = seen(0)
    classes = np.where(base == GRASS, 149, 77).astype(np.uint8)
    noisy = classes.copy()
    noisy[100:140, 100:140] = 12
    results = run(Stabiliser(labels), [(frame, classes)] * 3 + [(frame, noisy)])
    np.testing.assert_array_equal(results[-1].classes, classes)


def test_the_network_s_own_class_map_is_not_changed() -> None:
    frame, classes = seen(0)
    noisy = flicker(classes, 1)
    kept = noisy.copy()
    result = run(Stabiliser(LABELS), [(frame, classes)] * 3 + [(frame, noisy)])[-1]
    assert result.classes is not noisy
    assert result.changed_share == pytest.approx(float((result.classes != noisy).mean()))
    np.testing.assert_array_equal(noisy, kept)


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 700), (24, 320), (16, 200), (480, 17)])
def test_frames_of_odd_shapes_are_followed(size_hw: tuple[int, int]) -> None:
    """OpenCV's flow alone reads past the end of some of these."""
    frame = np.ascontiguousarray(texture(2, (600, 800))[: size_hw[0], : size_hw[1]])
    classes = np.zeros(size_hw, np.uint8)
    results = run(Stabiliser(LABELS), [(frame, classes)] * 3)
    assert [result.frames for result in results] == [1, 2, 3]


def test_flow_finds_a_known_shift() -> None:
    before, now = (cv2.cvtColor(seen(shift)[0], cv2.COLOR_BGR2GRAY) for shift in (0, 5))
    moved = DenseFlow().positions(now, before)
    columns = np.arange(SIZE_HW[1])
    assert np.abs(moved[20:-20, 20:-20, 0] - columns[20:-20] - 5).max() < 0.5
    same = likeness(now, before, moved, 9.0)
    assert same.share > 0.95
    assert same.in_view == pytest.approx(1 - 5 / SIZE_HW[1], abs=0.01)


def test_the_pose_gives_the_motion_of_flat_ground(camera: CameraModel, pose: MakePose) -> None:
    before = GroundView.of(camera, Mount.looking_down(), pose(height_m=20, pitch=4, roll=-3))
    now = GroundView.of(
        camera, Mount.looking_down(), pose(height_m=19, pitch=6, yaw=8, north_m=1.5, east_m=-0.4)
    )
    small_hw = small_size(camera.size_hw, 160)
    assert small_hw == (120, 160)
    moved = ground_positions(now, before, small_hw)
    for row, column in ((0, 0), (119, 159), (61, 37)):
        full = (np.array([[column, row]]) + 0.5) * 2 - 0.5
        expected = (before.pixel_of(now.ground_of(full))[0] + 0.5) / 2 - 0.5
        assert moved[row, column] == pytest.approx(expected, abs=0.05)


def test_no_ground_is_nowhere(camera: CameraModel, pose: MakePose) -> None:
    level = GroundView.of(camera, Mount.tilted(0), pose())
    moved = ground_positions(level, level, camera.size_hw)
    assert (moved[:100, :, 1] < 0).all()
    assert moved[200, 160] == pytest.approx((160, 200), abs=0.05)


def test_by_pose_a_frame_without_a_pose_is_not_smoothed(camera: CameraModel, pose: MakePose) -> None:
    stabiliser = Stabiliser(LABELS, StabiliserOptions(method="pose"))
    frame, classes = seen(0)
    view = GroundView.of(camera, Mount.looking_down(), pose())
    assert stabiliser.update(frame, classes, 0.0, view).reset == "first"
    assert stabiliser.update(frame, classes, 0.1, view).frames == 2
    without = stabiliser.update(frame, flicker(classes, 1), 0.2)
    assert (without.reset, without.frames, without.changed_share) == ("no-pose", 0, 0.0)
    assert stabiliser.update(frame, classes, 0.3, view).reset == "first"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "blur"}, "class maps cannot be stabilised by 'blur'; expected flow or pose"),
        ({"keep": 1.5}, r"keep is 1\.5; expected 0 to 0\.95"),
        ({"longest_gap_s": 0}, r"longest_gap_s is 0; expected 0\.001 to inf"),
        ({"hazards": ("tank",)}, "'tank' is not a class of the network; it knows grass, road, person"),
    ],
)
def test_a_bad_option_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stabiliser(LABELS, StabiliserOptions(**options))  # type: ignore[arg-type]
