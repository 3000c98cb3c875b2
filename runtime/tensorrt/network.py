"""The network an engine is built from: a bundle's graph, and if the frames' size is known, the decoding.

The engine's tensors, N being the batch:

- ``frame`` uint8 [N, H, W, 3], in;
- ``logits`` float32 [N, C, h, w], out: the graph's own, before the last upsampling;

and with the decoding:

- ``classes`` uint8 [N, H', W'], out: the best class of each pixel, at the frames' size;
- ``sum`` float32 [N, 1, 1, 1], out: the sum of a frame's logits. It is finite exactly when each of them is, so that a
  broken frame is noticed without a copy of its logits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import BackendError
from ...core.labels import VOID
from .messages import Messages
from .options import BuildOptions

FRAME, LOGITS, CLASSES, SUM = "frame", "logits", "classes", "sum"


def parse_onnx(trt: Any, network: Any, logger: Any, messages: Messages, model: bytes, origin: Path) -> None:
    """Reads an ONNX graph into a network.

    Args:
        trt: the TensorRT module.
        network: an empty one.
        logger: of the network's builder.
        messages: the logger's messages.
        model: the bytes of the ONNX file, with all its tensors inside.
        origin: the file, for the messages.

    Raises:
        BackendError: TensorRT refuses the graph; the message names each node that it refuses, its operator and
            TensorRT's reason.
    """
    parser = trt.OnnxParser(network, logger)
    if parser.parse(model):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    refused = list(dict.fromkeys(_refusal(error) for error in errors)) or [messages.cause("no reason given")]
    raise BackendError(
        f"TensorRT does not take {origin}: {'; '.join(refused)}."
        " Export the bundle again with this edgeseg; if it is refused again, the network must do without"
        " that operator, or run with --backend onnxruntime"
    )


def _refusal(error: Any) -> str:
    reason = error.desc().strip()
    # For an unknown operator the parser reports a failed check with no text but `false`.
    reason = "TensorRT has no such operator" if reason == "false" else reason
    if not error.node_operator():
        return reason
    return f"node {error.node_name() or error.node()!r}, operator {error.node_operator()}: {reason}"


def set_batch(network: Any, origin: Path, input_size_hw: tuple[int, int], options: BuildOptions) -> None:
    """Checks that the network has edgeseg's tensors, and fixes its batch if the options give one number.

    Raises:
        BackendError: it has other inputs or outputs, another size, or a fixed batch that differs from the options'.
    """
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    names = [tensor.name for tensor in inputs], [tensor.name for tensor in outputs]
    if names != ([FRAME], [LOGITS]):
        raise BackendError(
            f"{origin} has the inputs {names[0]} and outputs {names[1]}; expected {FRAME} and {LOGITS}:"
            " export the bundle again"
        )
    frame = inputs[0]
    batch, *size = frame.shape
    if size != [*input_size_hw, 3]:
        raise BackendError(
            f"{origin} takes frames of shape {list(frame.shape)}; its bundle promises [N, {input_size_hw[0]},"
            f" {input_size_hw[1]}, 3]: export the bundle again"
        )
    smallest, largest = options.batch
    if batch == -1 and options.static:
        frame.shape = (smallest, *size)
    elif batch not in (-1, smallest) or (batch != -1 and not options.static):
        asked = str(smallest) if options.static else f"{smallest}..{largest}"
        raise BackendError(
            f"{origin} takes {batch} frame{'s' * (batch != 1)} a call and no other number, and batch {asked} was"
            " asked for; export the bundle again with this edgeseg, which leaves the batch open"
        )


def add_profile(builder: Any, config: Any, input_size_hw: tuple[int, int], options: BuildOptions) -> None:
    """Adds a profile with its batches to the builder. It tunes for the largest: a profile is for throughput."""
    profile = builder.create_optimization_profile()
    shapes = [(batch, *input_size_hw, 3) for batch in (options.batch[0], options.batch[1], options.batch[1])]
    profile.set_shape(FRAME, *shapes)
    config.add_optimization_profile(profile)


def add_decoding(trt: Any, network: Any, frame_size_hw: tuple[int, int]) -> None:
    """Appends the last upsampling, the best class and the sum; ``edgeseg.runtime.decode`` does the same on the host.

    The best class is the lowest index whose logit equals the maximum, by a reduction, a comparison, a selection and
    a second reduction. TensorRT's TopK is much slower, and may return either index of a tie.

    Args:
        trt: the TensorRT module.
        network: one that :func:`set_batch` has checked.
        frame_size_hw: height and width of the class map.
    """
    logits = network.get_output(0)
    full = logits  # [N, C, H, W]
    if tuple(logits.shape[2:]) != frame_size_hw:
        full = _resized(trt, network, logits, frame_size_hw)
    channels = 1 << 1
    best = network.add_reduce(full, trt.ReduceOperation.MAX, channels, True)  # [N, 1, H, W]
    is_best = network.add_elementwise(full, best.get_output(0), trt.ElementWiseOperation.EQUAL)
    # Floats, because TensorRT casts only them to uint8. They hold every class exactly.
    indices = np.arange(logits.shape[1], dtype=np.float32).reshape(1, -1, 1, 1)
    index = network.add_constant(indices.shape, indices)
    void = network.add_constant((1, 1, 1, 1), np.full((1, 1, 1, 1), VOID, np.float32))
    candidates = network.add_select(is_best.get_output(0), index.get_output(0), void.get_output(0))
    lowest = network.add_reduce(
        candidates.get_output(0), trt.ReduceOperation.MIN, channels, False
    )  # [N, H, W]
    classes = network.add_cast(lowest.get_output(0), trt.DataType.UINT8)
    _mark(network, classes.get_output(0), CLASSES)
    each_frame = 1 << 1 | 1 << 2 | 1 << 3
    total = network.add_reduce(logits, trt.ReduceOperation.SUM, each_frame, True)
    _mark(network, total.get_output(0), SUM)


def _resized(trt: Any, network: Any, logits: Any, size_hw: tuple[int, int]) -> Any:
    """Adds a bilinear resize with half-pixel centres and repeated border: ``interpolate(…, align_corners=False)``."""
    resize = network.add_resize(logits)
    resize.resize_mode = trt.InterpolationMode.LINEAR
    resize.coordinate_transformation = trt.ResizeCoordinateTransformation.HALF_PIXEL
    batch, channels = logits.shape[:2]
    if batch != -1:
        resize.shape = (batch, channels, *size_hw)
        return resize.get_output(0)
    # An open batch is known only on the device, and scales would not give every size exactly.
    shape = network.add_shape(logits)
    leading = network.add_slice(shape.get_output(0), (0,), (2,), (1,))
    size = network.add_constant((2,), np.array(size_hw, np.int64))
    joined = network.add_concatenation([leading.get_output(0), size.get_output(0)])
    joined.axis = 0
    resize.set_input(1, joined.get_output(0))
    return resize.get_output(0)


def _mark(network: Any, tensor: Any, name: str) -> None:
    tensor.name = name
    network.mark_output(tensor)
