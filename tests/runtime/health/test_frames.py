"""Frames that show nothing are found, and those that show little are not taken for them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.runtime.health.frames import FrameChecks, content_fault


def noise(low: int, high: int, size_hw: tuple[int, int] = (240, 320), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high + 1, (*size_hw, 3), np.uint8)


@pytest.mark.parametrize(
    ("frame_bgr", "fault"),
    [
        (noise(0, 10), "dark"),
        (noise(0, 0), "dark"),
        (noise(252, 255), "saturated"),
        (noise(0, 40), ""),
        (noise(200, 255), ""),
        (noise(0, 255), ""),
        (noise(0, 10, (1, 1)), "dark"),
        (noise(255, 255, (7, 3000)), "saturated"),
    ],
    ids=["noisy black", "black", "white", "night", "bright", "noise", "one pixel", "a line"],
)
def test_black_and_white_frames_are_told(frame_bgr: np.ndarray, fault: str) -> None:
    assert content_fault(frame_bgr) == fault


def test_a_clock_in_the_image_hides_nothing() -> None:
    frame_bgr = noise(0, 4, (480, 640))
    cv2.putText(frame_bgr, "2031-05-17 12:00:00", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    assert content_fault(frame_bgr) == "dark"


def test_headlights_at_night_are_seen() -> None:
    frame_bgr = noise(0, 4, (480, 640))
    cv2.circle(frame_bgr, (320, 300), 90, (255, 255, 255), cv2.FILLED)
    assert content_fault(frame_bgr) == ""


def test_one_saturated_channel_is_a_colour() -> None:
    frame_bgr = np.zeros((60, 80, 3), np.uint8)
    frame_bgr[..., 2] = 255
    assert content_fault(frame_bgr) == ""


def test_a_repeated_frame_is_frozen_after_a_while_and_a_new_one_is_not() -> None:
    checks = FrameChecks(live=True, frozen_after_s=2.0)
    same = noise(0, 255)
    assert [checks.check(same.copy(), float(second)) for second in range(5)] == [
        "",
        "",
        "",
        "frozen",
        "frozen",
    ]
    other = same.copy()
    other[101, 7, 1] ^= 1  # a single pixel between the rows that are looked at first
    assert checks.check(other, 5.0) == ""
    assert [checks.check(other.copy(), at) for at in (6.0, 7.0, 7.5)] == ["", "", "frozen"]


def test_a_frame_like_the_last_is_not_frozen_after_a_pause() -> None:
    checks = FrameChecks(live=True, frozen_after_s=2.0)
    same = noise(0, 255)
    found = [checks.check(same.copy(), at) for at in (0.0, 1.0, 30.0, 31.0, 32.5)]
    assert found == ["", "", "", "", "frozen"]


def test_a_file_may_repeat_a_frame_and_change_its_size() -> None:
    checks = FrameChecks(live=False, frozen_after_s=2.0)
    same = noise(0, 255)
    assert [checks.check(same, at) for at in (0.0, 10.0)] == ["", ""]
    assert checks.check(noise(0, 255, (50, 60)), 11.0) == ""


def test_a_new_size_is_told_once() -> None:
    checks = FrameChecks(live=True, frozen_after_s=2.0)
    assert checks.check(noise(0, 255), 0.0) == ""
    assert checks.check(noise(0, 255, (120, 160)), 0.1) == "resolution-changed"
    assert checks.check(noise(0, 255, (120, 160), seed=1), 0.2) == ""


def test_checks_can_be_switched_off() -> None:
    checks = FrameChecks(live=True, frozen_after_s=0, contents=False)
    black = np.zeros((60, 80, 3), np.uint8)
    assert [checks.check(black, at) for at in (0.0, 1e6)] == ["", ""]


def test_real_frames_show_something(shared_data: Path) -> None:
    images = sorted((shared_data / "camvid" / "JPEGImages").glob("*.jpg"))[::40]
    assert images
    assert {content_fault(np.asarray(cv2.imread(str(path)), np.uint8)) for path in images} == {""}
