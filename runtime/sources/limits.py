"""Limits of the memory and access that images and streams get. OpenCV reads them once, when it is imported."""

from __future__ import annotations

import math
import os

from ...core.images.bounds import MOST_PIXELS, VARIABLE

_FFMPEG = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOG_LEVELS = ("OPENCV_FFMPEG_LOGLEVEL", "OPENCV_LOG_LEVEL")
_V4L2 = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


def set_limits() -> None:
    """Limits the size of images, and FFmpeg's access: only files, so that no video file makes it use a network.

    Call it before OpenCV is imported. Variables that are already set stay.
    """
    os.environ.setdefault(VARIABLE, str(MOST_PIXELS))
    os.environ.setdefault(_V4L2, "5")
    options = os.environ.get(_FFMPEG, "")
    if "protocol_whitelist" not in options:
        os.environ[_FFMPEG] = "|".join(filter(None, (options, "protocol_whitelist;file")))


def child_environment(read_timeout_s: float, ffmpeg_options: dict[str, str]) -> dict[str, str]:
    """The environment of a process that captures.

    Args:
        read_timeout_s: the longest wait of V4L2 for a frame, in seconds; OpenCV has only whole ones.
        ffmpeg_options: options of FFmpeg's protocols and demuxers, including ``protocol_whitelist``.
    """
    environment = dict(os.environ)
    # FFmpeg must print its messages in the child: the parent reads them and reports a failure in one line.
    for name in _LOG_LEVELS:
        environment.pop(name, None)
    environment[VARIABLE] = os.environ.get(VARIABLE, str(MOST_PIXELS))
    environment[_V4L2] = str(max(1, math.ceil(read_timeout_s)))
    environment[_FFMPEG] = "|".join(f"{name};{value}" for name, value in ffmpeg_options.items())
    return environment
