"""Stamps: moments by ROS's clock, and the names that carry them."""

from __future__ import annotations

import pytest
from edgeseg.embedding.ros2.stamps import RosStamp, age_s, nanoseconds_at, stamp_of_name


@pytest.mark.parametrize("frame_id", ["camera", "robot/front camera", "ü@home", ""])
def test_a_frames_name_carries_the_head_of_its_image(frame_id: str) -> None:
    stamp = RosStamp(frame_id, 1_764_541_234_000_000_007)
    assert stamp_of_name(stamp.name) == stamp
    assert "/" not in stamp.name  # it may become the name of a file


@pytest.mark.parametrize("name", ["", "picture", "a@b", "a@1.5", "a/b@1.000000000", "a@1.000000000x"])
def test_other_names_carry_none(name: str) -> None:
    assert stamp_of_name(name) is None


def test_the_time_of_a_frame_is_ros_time_less_its_age() -> None:
    assert nanoseconds_at(5_000_000_000, 0.25) == 4_750_000_000
    assert nanoseconds_at(100, 1.0) == 0  # simulated time that has hardly begun
    assert age_s(5_000_000_000, RosStamp("", 4_000_000_000)) == 1.0
    assert age_s(5_000_000_000, RosStamp("", 5_500_000_000)) == -0.5


def test_the_parts_of_a_stamp_fit_a_message() -> None:
    assert RosStamp("", 3_000_000_009).parts == (3, 9)
    assert RosStamp("", -1).parts == (0, 0)
    assert RosStamp("", 2**62).parts[0] == 2**31 - 1
