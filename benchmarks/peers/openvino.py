"""OpenVINO, used as in its documentation: resize, colour and normalization in its preprocessing API, the last
upsampling and the argmax in the graph, one byte of output for each pixel, tuned for latency.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap, Frame
from ...core.libraries import load_openvino
from .base import Peer, Setting, resized
from .graphs import graph_path

_SHORT = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}


class _OpenVinoPeer(Peer):
    """The base of all four ways."""

    modules = ("openvino",)
    asked: ClassVar[str] = ""

    def __init__(self, name: str, setting: Setting) -> None:
        super().__init__(name, setting)
        self._ov = load_openvino()
        self._core = self._ov.Core()
        size_hw = setting.frame_size_hw if self.same_map else setting.input_size_hw
        compiled = self._compile(self._with_processing(size_hw))
        self._request = compiled.create_infer_request()
        computes_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.precision = _SHORT.get(computes_in, computes_in)
        self.limit = f"openvino {self.precision}"

    def __call__(self, frame_bgr: Frame) -> ClassMap:
        # The frame is shared without a copy. The map is copied, because the next frame would overwrite it.
        answer = self._request.infer(frame_bgr[None], share_inputs=True, share_outputs=True)
        classes: ClassMap = answer[0].reshape(answer[0].shape[-2:])
        return classes.copy() if self.same_map else resized(classes, self.setting.frame_size_hw)

    def _with_processing(self, size_hw: tuple[int, int]) -> Any:
        """Returns the float graph from frames of bytes to class maps of bytes."""
        ov, setting = self._ov, self.setting
        ops = importlib.import_module("openvino.opset13")
        preprocess = importlib.import_module("openvino.preprocess")
        model = self._core.read_model(str(graph_path(setting.graphs, "coarse")))
        (coarse,) = model.get_results()
        logits = coarse.input_value(0)
        if tuple(logits.shape)[2:] != size_hw:
            logits = ops.interpolate(
                logits, np.array(size_hw, np.int64), "linear_onnx", "sizes",
                coordinate_transformation_mode="half_pixel", axes=np.array([2, 3], np.int64),
            ).output(0)  # fmt: skip
        best = ops.topk(logits, np.int64(1), 1, "max", "none", index_element_type="i32").output(1)
        model.add_results([ops.result(ops.convert(best, "u8"))])
        model.remove_result(coarse)
        pipeline = preprocess.PrePostProcessor(model)
        frame, steps = pipeline.input().tensor(), pipeline.input().preprocess()
        frame.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        frame.set_color_format(preprocess.ColorFormat.BGR)
        frame.set_spatial_static_shape(*setting.frame_size_hw)
        # Bytes are resized in a fifth of the time of floats, with OpenCV's rounding.
        steps.resize(preprocess.ResizeAlgorithm.RESIZE_LINEAR).convert_element_type(ov.Type.f32)
        steps.convert_color(preprocess.ColorFormat.RGB)
        steps.mean([255 * value for value in setting.mean_rgb])
        steps.scale([255 * value for value in setting.std_rgb])
        pipeline.input().model().set_layout(ov.Layout("NCHW"))
        return pipeline.build()

    def _compile(self, model: Any) -> Any:
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.setting.threads,
        }
        if self.asked:
            options["INFERENCE_PRECISION_HINT"] = self.asked
        return self._core.compile_model(model, "CPU", options)

    def _bare(self, image_bgr: npt.NDArray[Any]) -> Callable[[], object]:
        compiled = self._compile(self._core.read_model(str(graph_path(self.setting.graphs, "coarse"))))
        request = compiled.create_infer_request()
        image_rgb = image_bgr[..., ::-1].astype(np.float32) / 255
        normalized = (image_rgb - np.array(self.setting.mean_rgb, np.float32)) / np.array(
            self.setting.std_rgb, np.float32
        )
        image_nchw = np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])
        return lambda: request.infer(image_nchw, share_inputs=True, share_outputs=True)


class FrameSized(_OpenVinoPeer):
    """A contender with the same map as ours, in OpenVINO's choice of precision."""

    does = "its preprocessing API, logits upsampled to the frame and argmax in the graph, its own precision"


class FrameSizedFloat32(FrameSized):
    """A contender with the same map as ours, in float32."""

    does = "its preprocessing API, logits upsampled to the frame and argmax in the graph, float32"
    asked = "f32"


class InputSized(_OpenVinoPeer):
    """A contender with another map, which has blocks if the frame is larger than the network's input."""

    does = "its preprocessing API, argmax in the graph at the network's input, nearest to the frame, its own precision"
    same_map = False


class InputSizedFloat32(InputSized):
    """A contender with another map, in float32."""

    does = "its preprocessing API, argmax in the graph at the network's input, nearest to the frame, float32"
    asked = "f32"
