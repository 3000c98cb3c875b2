"""``run_camera.py`` with weak spots: what switches of the suite are on goes wrong inside of it.

``PYTHONPATH=tests python -m faults.saboteur OPTIONS`` runs as ``python run_camera.py OPTIONS`` does. Everything is
edgeseg's own, but that ``--source 0`` is a :class:`~.cameras.FaultyCapture`, and that before each step that can be
sabotaged a switch is looked at.
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgeseg.runtime.sources.limits import set_limits

from .places import ROOT
from .switches import Switches

_DOOR = ROOT / "run_camera.py"

INFER_SLOW, INFER_RAISES, INFER_HANGS, INFER_NAN = "infer-slow", "infer-raises", "infer-hangs", "infer-nan"
INFER_MEMORY, BUNDLE_HANGS = "infer-memory", "bundle-hangs"
GRAPH_EXCHANGED = "graph-exchanged"
SINK_SLOW, SINK_RAISES, SINK_BLOCKS, SINK_CLOSE_BLOCKS = (
    "sink-slow",
    "sink-raises",
    "sink-blocks",
    "sink-close-blocks",
)


def main() -> None:
    """Runs ``run_camera.py``, which ends the process."""
    # As the verb itself does, before OpenCV is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    set_limits()

    switches = Switches.of_environment()
    _sabotage_cameras()
    _sabotage_network(switches)
    _sabotage_masks(switches)
    runpy.run_path(str(_DOOR), run_name="__main__")


def _sabotage_cameras() -> None:
    from edgeseg.core.errors import SourceError
    from edgeseg.runtime.sources import camera
    from edgeseg.runtime.sources.process.source import ChildCapture, ChildSource

    from .cameras import UNPLUGGED

    switches, original = Switches.of_environment(), ChildSource.__init__

    def check_is_there(name: str, device: str) -> None:
        if switches.value(UNPLUGGED):
            raise SourceError(f"there is no {name} ({device}); this machine has no /dev/video* at all")

    def init(self: ChildSource, name: str, capture: ChildCapture, *others: Any) -> None:
        if capture.target == "edgeseg.runtime.sources.process.opencv:V4l2Capture":
            capture = replace(capture, target="faults.cameras:FaultyCapture")
        original(self, name, capture, *others)

    camera._check_is_there = check_is_there
    ChildSource.__init__ = init  # type: ignore[assignment, method-assign]


def _sabotage_network(switches: Switches) -> None:
    import numpy as np
    from edgeseg.core.errors import BackendError
    from edgeseg.runtime.bundle import Bundle
    from edgeseg.runtime.segmenter import Segmenter
    from edgeseg.runtime.steps import Inference, PreparedFrame

    infer_batch, load = Segmenter.infer_batch, Bundle.load

    def sabotaged(
        self: Segmenter, prepared: Sequence[PreparedFrame], logits: bool = False
    ) -> list[Inference]:
        switches.hang(INFER_HANGS)
        if switches.value(INFER_RAISES):
            raise BackendError("the device is gone")
        if switches.value(INFER_MEMORY):
            np.zeros(1 << 55, np.uint8)  # more than any machine has: NumPy's own MemoryError
        time.sleep(switches.value(INFER_SLOW))
        inferences = infer_batch(self, prepared, logits)
        if not switches.value(INFER_NAN):
            return inferences
        return [
            replace(
                each, finite=False, logits=None if each.logits is None else np.full_like(each.logits, np.nan)
            )
            for each in inferences
        ]

    def slow_load(*args: Any) -> Bundle:
        switches.hang(BUNDLE_HANGS)
        bundle = load(*args)
        if switches.value(GRAPH_EXCHANGED):
            graph = bundle.variant().path
            graph.with_suffix(".other").replace(graph)
        return bundle

    Segmenter.infer_batch = sabotaged  # type: ignore[method-assign]
    Bundle.load = slow_load  # type: ignore[method-assign, assignment]


def _sabotage_masks(switches: Switches) -> None:
    from edgeseg.core.errors import OutputError
    from edgeseg.runtime.sinks.base import Output
    from edgeseg.runtime.sinks.masks import LiveMasksSink

    write: Callable[[LiveMasksSink, Output], None] = LiveMasksSink.write
    close: Callable[[LiveMasksSink, bool], None] = LiveMasksSink.close

    def sabotaged(self: LiveMasksSink, output: Output) -> None:
        switches.hang(SINK_BLOCKS)
        if switches.value(SINK_RAISES):
            raise OutputError("the disk does not answer")
        time.sleep(switches.value(SINK_SLOW))
        write(self, output)

    def slow_close(self: LiveMasksSink, commit: bool) -> None:
        switches.hang(SINK_CLOSE_BLOCKS)
        close(self, commit)

    LiveMasksSink.write = sabotaged  # type: ignore[method-assign]
    LiveMasksSink.close = slow_close  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
