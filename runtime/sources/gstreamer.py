"""GStreamer pipelines, and a Jetson's CSI cameras, which need one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .limits import child_environment
from .live import Interruption, LiveOptions
from .process.source import ChildCapture, ChildSource
from .uri import SourceUri

_NEWEST = {"drop": "true", "max-buffers": "1"}
_SINK = "appsink drop=true max-buffers=1 sync=false"
_TO_BGR = "videoconvert ! video/x-raw, format=BGR"
_FLIPS = {
    "none": 0,
    "counterclockwise": 1,
    "rotate-180": 2,
    "clockwise": 3,
    "horizontal-flip": 4,
    "vertical-flip": 6,
}
"""``flip-method`` of ``nvvidconv``."""


class GStreamerSource(ChildSource):
    """The user's own pipeline, captured in a child process.

    Args:
        uri: ``gst`` with the pipeline.
        options: the deadlines.
        interruption: ends waits.

    Raises:
        SourceError: OpenCV has no GStreamer, or the pipeline does not start.
    """

    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None:
        capture = ChildCapture(
            "edgeseg.runtime.sources.process.opencv:GStreamerCapture",
            {"name": uri.public_name, "pipeline": self.pipeline(uri)},
            child_environment(options.read_timeout_s, {"protocol_whitelist": "file"}),
            uri.redacted,
            _explain,
        )
        super().__init__(uri.public_name, capture, options, interruption)

    def pipeline(self, uri: SourceUri) -> str:
        """Returns the pipeline for GStreamer."""
        return with_sink(uri.rest)


class CsiSource(GStreamerSource):
    """A CSI camera of a Jetson: ``csi://SENSOR?width=&height=&fps=&flip=&mode=``."""

    def pipeline(self, uri: SourceUri) -> str:
        """Returns the pipeline for GStreamer."""
        return csi_pipeline(int(uri.rest), uri.options)


def with_sink(pipeline: str) -> str:
    """Returns the pipeline with an ``appsink`` at its end, from which edgeseg reads the newest frame.

    An ``appsink`` that the pipeline already has keeps its settings. Without ``drop`` it would keep frames until they
    are old.
    """
    own = re.search(r"\bappsink\b[^!]*", pipeline)
    if own is not None:
        lacking = [
            f"{key}={value}" for key, value in _NEWEST.items() if not re.search(rf"\b{key}\s*=", own[0])
        ]
        after = own.start() + len("appsink")
        return " ".join([pipeline[:after], *lacking]) + pipeline[after:]
    return f"{pipeline.strip().rstrip('!').rstrip()} ! {_TO_BGR} ! {_SINK}"


def csi_pipeline(sensor: int, options: Mapping[str, str]) -> str:
    """The pipeline of a CSI camera.

    Args:
        sensor: its number, from 0.
        options: ``width``, ``height``, ``fps``, ``flip``, ``mode``, as in the URI. The sensor chooses those that are
            missing.
    """
    head = f"nvarguscamerasrc sensor-id={sensor}"
    if "mode" in options:
        head += f" sensor-mode={options['mode']}"
    caps = ["video/x-raw(memory:NVMM)"]
    caps += [f"{side}={options[side]}" for side in ("width", "height") if side in options]
    if "fps" in options:
        caps.append(f"framerate={_fraction(options['fps'])}")
    flip = _FLIPS[options.get("flip", "none")]
    convert = f"nvvidconv flip-method={flip}" if flip else "nvvidconv"
    elements = [head, ", ".join([*caps, "format=NV12"]), convert, "video/x-raw, format=BGRx", _TO_BGR, _SINK]
    return " ! ".join(elements)


def _fraction(fps: str) -> str:
    """Returns a rate in GStreamer's form: ``30/1``, ``2997/100``."""
    whole, _, digits = fps.partition(".")
    digits = digits.rstrip("0")
    return f"{int(whole + digits)}/{10 ** len(digits)}"


def _explain(problem: str, said: str) -> str:
    """Adds GStreamer's own message, if it has the reason."""
    reasons = re.findall(r"(?m)(?:Error:|error:|ERROR|no element|could not|Could not)\s*(.{4,160})", said)
    return f"{problem}: {reasons[-1].strip()}" if reasons and "pipeline" in problem else problem
