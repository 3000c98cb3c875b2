"""Stamps: moments by ROS's clock, and the names of frames that carry them through a run.

A frame of a ROS topic is named after the header of its image: ``camera_front@1764541234.123456789``. So its class map
is published under exactly the stamp of the image, and what a run writes can be found in a bag again.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

_NAME = re.compile(r"([^@/]*)@(\d{1,10})\.(\d{9})")
_NANOSECONDS = 10**9
_MOST_SECONDS = 2**31 - 1


class RosStamp(NamedTuple):
    """The head of a message.

    Attributes:
        frame_id: the coordinate frame of its data.
        nanoseconds: by ROS's clock, since its epoch.
    """

    frame_id: str
    nanoseconds: int

    @property
    def parts(self) -> tuple[int, int]:
        """Whole seconds, and nanoseconds of the next one, as a message has them."""
        seconds, nanoseconds = divmod(max(0, self.nanoseconds), _NANOSECONDS)
        return min(seconds, _MOST_SECONDS), nanoseconds

    @property
    def name(self) -> str:
        """The name of a frame with this head."""
        seconds, nanoseconds = self.parts
        return f"{quote(self.frame_id, safe='')}@{seconds}.{nanoseconds:09d}"


def stamp_of_header(header: object) -> RosStamp:
    """Returns the stamp of a ``std_msgs/Header``."""
    stamp = header.stamp  # type: ignore[attr-defined]
    return RosStamp(str(header.frame_id), stamp.sec * _NANOSECONDS + stamp.nanosec)  # type: ignore[attr-defined]


def stamp_of_name(name: str) -> RosStamp | None:
    """Returns the stamp that a frame's name carries; None if it carries none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return RosStamp(unquote(match[1]), int(match[2]) * _NANOSECONDS + int(match[3]))


def nanoseconds_at(ros_now_ns: int, age_s: float) -> int:
    """Returns the time by ROS's clock of a moment that is some seconds old.

    Args:
        ros_now_ns: ROS's time now.
        age_s: by :func:`edgeseg.now`, whose differences no correction of a clock can change.
    """
    return max(0, ros_now_ns - round(age_s * _NANOSECONDS))


def age_s(ros_now_ns: int, stamp: RosStamp) -> float:
    """Returns the age of a stamp in seconds; below 0 for a stamp that is still to come."""
    return (ros_now_ns - stamp.nanoseconds) / _NANOSECONDS
