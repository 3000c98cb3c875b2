"""Bounds on what pictures and streams may ask of this machine. OpenCV reads them once, when it is imported."""

from __future__ import annotations

import math
import os

from ...core.images.bounds import MOST_PIXELS, VARIABLE

_FFMPEG = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOG_LEVELS = ("OPENCV_FFMPEG_LOGLEVEL", "OPENCV_LOG_LEVEL")
_V4L2 = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


def set_limits() -> None:
    """Bounds pictures, and what FFmpeg may open for a video file: files alone, so that no file makes it ask a network.

    Call it before OpenCV is imported. What the environment says already stays.
    """
    os.environ.setdefault(VARIABLE, str(MOST_PIXELS))
    os.environ.setdefault(_V4L2, "5")
    options = os.environ.get(_FFMPEG, "")
    if "protocol_whitelist" not in options:
        os.environ[_FFMPEG] = "|".join(filter(None, (options, "protocol_whitelist;file")))


def child_environment(read_timeout_s: float, ffmpeg_options: dict[str, str]) -> dict[str, str]:
    """The environment of a process that captures.

    Args:
        read_timeout_s: how long V4L2 may wait for a frame, in seconds; OpenCV knows whole ones.
        ffmpeg_options: of FFmpeg's protocols and demuxers, ``protocol_whitelist`` among them.
    """
    environment = dict(os.environ)
    # What FFmpeg says of a failure is read there, and told in one line; the run itself hears nothing of it.
    for name in _LOG_LEVELS:
        environment.pop(name, None)
    environment[VARIABLE] = os.environ.get(VARIABLE, str(MOST_PIXELS))
    environment[_V4L2] = str(max(1, math.ceil(read_timeout_s)))
    environment[_FFMPEG] = "|".join(f"{name};{value}" for name, value in ffmpeg_options.items())
    return environment
