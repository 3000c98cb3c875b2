"""Frames from messages: ``sensor_msgs/Image`` and ``sensor_msgs/CompressedImage``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame
from ...core.errors import ImageError, SourceError
from ...core.images.bounds import MOST_PIXELS_A_SECOND, PixelBudget, most_live_pixels
from ...core.images.reader import check, decode
from ...core.printable import printable
from ...runtime.reasons import CORRUPT

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"

_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "bgr8": (3, None),
    "8UC3": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, cv2.COLOR_GRAY2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "8UC4": (4, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUYV),
    "yuyv": (2, cv2.COLOR_YUV2BGR_YUYV),
}
"""Bytes of a pixel, and OpenCV's conversion to BGR, by ROS's names (sensor_msgs/image_encodings.hpp)."""

_SHOWN = 40


class RosFrame(NamedTuple):
    """A frame from a message.

    Attributes:
        frame_bgr: uint8 [H, W, 3]; None if nothing of it can be shown.
        fault: the reason not to trust it; else empty.
        trouble: why there is no frame; else empty.
    """

    frame_bgr: Frame | None
    fault: str = ""
    trouble: str = ""


class FrameReader:
    """Reads the frames of one topic, and bounds their pixels before it spends memory or time on them.

    Args:
        name: of the topic, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name, self._budget = name, PixelBudget()

    def image(self, message: Any) -> RosFrame:
        """Reads a ``sensor_msgs/Image``; rows may be padded, and ``step`` says by how much.

        Raises:
            SourceError: an encoding that is not read, or too many pixels.
        """
        height, width, step = int(message.height), int(message.width), int(message.step)
        if message.encoding not in _ENCODINGS:
            raise SourceError(
                f"{self._name} sends images with the encoding '{printable(message.encoding[:_SHOWN])}'; expected one of"
                f" {', '.join(_ENCODINGS)}"
            )
        channels, conversion = _ENCODINGS[message.encoding]
        self._bound(height, width)
        data = np.frombuffer(message.data, np.uint8)
        if height * width == 0 or step < width * channels or len(data) < step * height:
            damage = f"{len(data)} bytes with a step of {step} for {width} x {height} pixels"
            return RosFrame(None, CORRUPT, f"{self._name} sends images that are not whole: {damage}")
        rows = data[: step * height].reshape(height, step)[:, : width * channels]
        pixels = rows.reshape(height, width, channels)
        if conversion is None:
            return RosFrame(np.ascontiguousarray(pixels))
        try:
            return RosFrame(_converted(pixels, conversion))
        except cv2.error as error:  # an odd width of pairs of pixels
            return RosFrame(
                None, CORRUPT, f"{self._name} sends images that OpenCV refuses: {error.err or error}"
            )

    def compressed(self, message: Any) -> RosFrame:
        """Reads a ``sensor_msgs/CompressedImage``: a whole JPEG or PNG.

        Raises:
            SourceError: too many pixels.
        """
        data, name = bytes(message.data), f"what {self._name} sends"
        try:
            self._bound(*check(data, name))
            return RosFrame(np.asarray(decode(data, name, cv2.IMREAD_COLOR), np.uint8))
        except ImageError as error:
            return RosFrame(None, CORRUPT, str(error).partition(";")[0])

    def reader_of(self, kind: str) -> Callable[[Any], RosFrame]:
        """Returns the method for a type of message."""
        return self.compressed if kind == COMPRESSED else self.image

    def _bound(self, height: int, width: int) -> None:
        if height * width > most_live_pixels():
            raise SourceError(
                f"{self._name} sends an image of {width} x {height} pixels, more than {most_live_pixels()}"
            )
        if not self._budget.take(height * width):
            raise SourceError(
                f"{self._name} sends more than {MOST_PIXELS_A_SECOND >> 20} megapixels a second, more than any camera"
            )


def _converted(pixels: npt.NDArray[np.uint8], conversion: int) -> Frame:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion), np.uint8)
