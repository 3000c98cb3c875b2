"""ONNX Runtime sessions for measuring: quiet, on the CPU."""

from __future__ import annotations

from typing import Any

import onnx

from ..core.libraries import load_onnxruntime

UNWANTED = ["WeightBiasQuantization"]
"""Optimizers that are turned off, here and in the runtime's backend. This one gives the float convolutions between
Q/DQ pairs weights of 8 bits, with one scale for all channels, and so undoes exclusion lists."""


def open_session(model: onnx.ModelProto, *, fuse_quantized: bool = True, threads: int | None = None) -> Any:
    """Opens a session for a model in memory.

    Args:
        model: the model to run.
        fuse_quantized: run Q/DQ graphs with the CPU's INT8 kernels, as the runtime does. False computes each
            operator in float between Q and DQ: the numerics of any target, at float's speed.
        threads: for one frame; ONNX Runtime's own choice if None.
    """
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    if not fuse_quantized:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=UNWANTED
    )
