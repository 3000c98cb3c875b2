"""Tiny bundles: real ONNX graphs of a few bytes, so that the runtime is tested without any network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgeseg.runtime.checked_files import file_sha256
from edgeseg.runtime.manifest import write_manifest
from onnx import TensorProto, helper, numpy_helper

LABELS = [
    {"name": "dark", "rgb": [128, 64, 128]},
    {"name": "grey", "rgb": [70, 160, 70]},
    {"name": "bright", "rgb": [220, 60, 60]},
]


def brightness_graph(
    size_hw: tuple[int, int] = (32, 48), stride: int = 4, scale: float = 1.0
) -> onnx.ModelProto:
    """A graph that labels by brightness: the logit of class c is -(mean over a stride - level_c)^2."""
    levels = np.array([40, 128, 215], np.float32).reshape(1, 3, 1, 1) / 255
    nodes = [
        helper.make_node("Cast", ["frame"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["mean"], strides=[stride, stride]),
        helper.make_node("Sub", ["mean", "levels"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["logits"]),
    ]
    kernel = np.full((1, 3, stride, stride), 1 / (3 * 255 * stride * stride), np.float32)
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", *size_hw, 3])],
        [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["N", 3, *(s // stride for s in size_hw)]
            )
        ],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(levels, "levels"),
            numpy_helper.from_array(np.array([-scale], np.float32), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_bundle(
    folder: Path, model: onnx.ModelProto, size_hw: tuple[int, int] = (32, 48), stride: int = 4
) -> dict[str, Any]:
    """Writes a bundle of one variant, fp32, around a graph; returns its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "tiny.fp32.onnx")
    (folder / "checkpoint.safetensors").write_bytes(b"the weights")
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": "tiny",
        "created_with": {"edgeseg": "0.1.0"},
        "architecture": {"name": "tiny", "arguments": {}},
        "weights": {
            "name": "none",
            "checkpoint": "checkpoint.safetensors",
            "sha256": hashlib.sha256(b"the weights").hexdigest(),
            "recipe": {},
            "metrics": {},
        },
        "labels": LABELS,
        "input": {
            "name": "frame",
            "dtype": "uint8",
            "layout": "NHWC",
            "channels": "BGR",
            "size_hw": list(size_hw),
            "resize": "stretch",
            "mean_rgb": [0.0, 0.0, 0.0],
            "std_rgb": [1.0, 1.0, 1.0],
        },
        "output": {
            "name": "logits",
            "dtype": "float32",
            "stride": stride,
            "size_hw": [s // stride for s in size_hw],
        },
        "default_variant": "fp32",
        "variants": {
            "fp32": {
                "file": "tiny.fp32.onnx",
                "sha256": file_sha256(folder / "tiny.fp32.onnx"),
                "bytes": (folder / "tiny.fp32.onnx").stat().st_size,
                "precision": "fp32",
                "target": "any",
                "opset": 18,
                "calibration": None,
                "parity": None,
            }
        },
        "verification": None,
    }
    write_manifest(folder, manifest)
    return manifest
