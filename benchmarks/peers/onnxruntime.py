"""ONNX Runtime in its usual use: image normalized in NumPy, the last upsampling inside the graph, then the argmax.

Sessions are opened as in its documentation: with all graph optimizations, the default, and a number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Frame
from ...core.libraries import load_onnxruntime
from .base import Peer, Setting, resized
from .graphs import INPUT, graph_path


class _OnnxRuntimePeer(Peer):
    """The base of all four ways."""

    modules = ("onnxruntime",)
    precision = "fp32"
    limit = "onnxruntime spinning fp32"
    form: ClassVar[str]

    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(name, setting)
        self._mean = np.array(setting.mean_rgb, np.float32)
        self._std = np.array(setting.std_rgb, np.float32)
        self._session = self._open(self.form)

    def __call__(self, frame_bgr: Frame) -> ClassMap:
        image_bgr = cv2.resize(frame_bgr, self.setting.input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        answer = self._session.run(None, {INPUT: self._normalized(image_bgr)})[0][0]
        classes = answer if answer.ndim == 2 else np.argmax(answer, axis=0).astype(np.uint8)
        return classes if self.same_map else resized(classes, self.setting.frame_size_hw)

    def _normalized(self, image_bgr: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        image_rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        return np.ascontiguousarray(((image_rgb - self._mean) / self._std).transpose(2, 0, 1)[None])

    def _open(self, form: str) -> Any:
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.setting.threads
        path = graph_path(self.setting.graphs, form)
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def _bare(self, image_bgr: npt.NDArray[Any]) -> Callable[[], object]:
        session, feed = self._open("coarse"), {INPUT: self._normalized(image_bgr)}
        return lambda: session.run(None, feed)


class FrameSizedLogits(_OnnxRuntimePeer):
    """A contender with the same map as ours."""

    does = "NumPy normalization, logits upsampled to the frame in the graph, np.argmax"
    form = "frame"


class FrameSizedArgMax(_OnnxRuntimePeer):
    """A contender with the same map as ours."""

    does = "NumPy normalization, logits upsampled to the frame and ArgMax in the graph"
    form = "frame-argmax"


class InputSizedLogits(_OnnxRuntimePeer):
    """A contender with another map, which has blocks if the frame is larger than the network's input."""

    does = "NumPy normalization, logits upsampled to the network's input, np.argmax, nearest to the frame"
    form = "input"
    same_map = False


class InputSizedArgMax(_OnnxRuntimePeer):
    """A contender with another map, which has blocks if the frame is larger than the network's input."""

    does = "NumPy normalization, logits upsampled to the network's input and ArgMax in the graph, nearest to the frame"
    form = "input-argmax"
    same_map = False
