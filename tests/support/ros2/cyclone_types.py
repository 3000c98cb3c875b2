"""ROS's types of an image for CycloneDDS's Python, by the names that ROS gives them on the wire.

CycloneDDS reads the annotations, so they may not be texts.
"""

import os
from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import int32, sequence, uint8, uint32
from cyclonedds.topic import Topic


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    """A moment."""

    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    """The head of a message."""

    stamp: Time
    frame_id: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    """An image."""

    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


SENSOR_DATA = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(5))


def open_topic(name: str) -> tuple[DomainParticipant, Topic]:
    """A topic of images by the name that ROS has for it."""
    participant = DomainParticipant(int(os.environ.get("ROS_DOMAIN_ID", "0")))
    return participant, Topic(participant, f"rt{name}", Image)
