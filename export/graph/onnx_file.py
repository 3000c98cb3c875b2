"""A network as one ONNX file: clean, checked, run once, and the same bytes every time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.errors import MissingDependencyError, ModelError, OutputError
from ...models.base import SegmentationNetwork
from ...models.checkpoint import CheckpointInfo
from .constant_scales import write_constant_scales
from .deployable import deployable

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""The opset that the exporter writes itself, without a version converter; TensorRT 10.3 parses up to 20."""

IR_VERSION = 8
"""The file format of opset 18, so that every runtime that knows the opset can read the file."""

INPUT_NAME = "frame"
OUTPUT_NAME = "logits"
BATCH_NAME = "N"
_TRACED_FRAMES = 2
"""Not one: the exporter treats a size of one as a constant."""

_MAX_PROTOBUF_BYTES = 2**31 - 1


def export_graph(
    network: SegmentationNetwork, info: CheckpointInfo, size_hw: tuple[int, int]
) -> onnx.ModelProto:
    """Exports a network in float32: ``frame`` uint8 [N, H, W, 3] BGR -> ``logits`` float32 [N, C, h, w].

    This is the only export: every other precision is written from this graph, and keeps its names. N is free and
    called ``N``; all other sizes are fixed.

    Args:
        network: float32, in evaluation mode; not changed.
        info: gives its normalization and name.
        size_hw: the input size, (H, W).

    Raises:
        ModelError: the network does not accept this size.
        MissingDependencyError: the exporter's packages are not installed.
    """
    module = deployable(network, info, size_hw)
    try:
        # Tracing with a free N needs twice the time, and gives the same bytes for the networks of this package.
        model = _tidy(_trace(module, size_hw, None), info.architecture)
        if not _free_batch(model):
            free = ({0: torch.export.Dim(BATCH_NAME)},)
            model = _tidy(_trace(module, size_hw, free), info.architecture)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(error.name or "onnxscript", "export", "exporting to ONNX") from error
    return model


def _trace(
    module: torch.nn.Module, size_hw: tuple[int, int], dynamic_shapes: tuple[dict[int, Any], ...] | None
) -> onnx.ModelProto:
    frames = torch.zeros(_TRACED_FRAMES, *size_hw, 3, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (frames,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _free_batch(model: onnx.ModelProto) -> bool:
    """Frees N of a graph that was traced for two frames; returns False if an operator only fits two."""
    import onnx

    graph = model.graph
    frame, logits = (value.type.tensor_type.shape.dim[0] for value in (graph.input[0], graph.output[0]))
    frame.dim_param = BATCH_NAME
    logits.Clear()  # so that it is inferred
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    logits.dim_param = BATCH_NAME
    shapes = {
        value.name: value.type.tensor_type.shape.dim for value in (*inferred.value_info, *inferred.output)
    }
    results = [shapes.get(name) for node in graph.node for name in node.output]
    # After a Resize the shape inference no longer knows that it is the same N, but never gives it a number.
    return all(dims and not dims[0].HasField("dim_value") for dims in results)


def save_graph(path: Path, model: onnx.ModelProto, precision: str) -> tuple[int, int]:
    """Writes a graph as reproducible bytes, checks the file and runs it once.

    Args:
        path: the file to write.
        model: as :func:`export_graph` gives it, in any precision.
        precision: of the graph, for the messages.

    Returns:
        (h, w), the size of the logits.

    Raises:
        ModelError: the graph is larger than 2 GiB, or gives logits that are not finite.
        OutputError: the file cannot be written.
    """
    if model.ByteSize() > _MAX_PROTOBUF_BYTES:
        raise ModelError(f"{model.graph.name} takes more than 2 GiB as one ONNX file; export a smaller one")
    content = model.SerializeToString(deterministic=True)
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    _check(path)
    return _run_once(path, precision)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the exporter's notes on its own internals from the user; errors still raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _tidy(model: onnx.ModelProto, graph_name: str) -> onnx.ModelProto:
    """Keeps only the graph in the file: no stack traces, no paths of the machine that exported it."""
    from ..._version import __version__

    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "edgeseg", __version__
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name = graph_name
    graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]  # each runtime infers shapes when it loads the file
    parts: list[Any] = [*graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]
    write_constant_scales(model)
    _rename(model)
    return model


def _rename(model: onnx.ModelProto) -> None:
    """Names nodes by operator and position, and weights as the checkpoint does."""
    graph = model.graph
    names = {item.name: item.name.removeprefix("network.") for item in graph.initializer}
    for position, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{position}"
        for port, output in enumerate(node.output):
            if output and output != OUTPUT_NAME:
                names[output] = node.name if port == 0 else f"{node.name}_{port}"
    for item in graph.initializer:
        item.name = names[item.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def _check(path: Path) -> None:
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


def _run_once(path: Path, precision: str) -> tuple[int, int]:
    """Runs the file on noise: it must load, and give finite logits. Returns the size of the logits."""
    import onnx

    from ...core.libraries import load_onnxruntime
    from ..verification.stepwise import first_infinite

    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]  # the first is the symbolic N
    frame = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    model = onnx.load(path)
    # ONNX Runtime computes float16 in float32 on a CPU, where nothing overflows. On a GPU it can overflow.
    if any(item.data_type == onnx.TensorProto.FLOAT16 for item in model.graph.initializer):
        node = first_infinite(model, {INPUT_NAME: frame})
        if node is not None:
            raise ModelError(
                f"the {precision} graph gives values that are not finite at {node.name}: they pass float16's 65504;"
                " deploy it in fp32"
            )
    logits = session.run([OUTPUT_NAME], {INPUT_NAME: frame})[0]
    if not np.isfinite(logits).all():
        share = 100 * (1 - np.isfinite(logits).mean())
        raise ModelError(
            f"the {precision} graph gives logits that are not finite ({share:.1f} %): its weights are not usable;"
            " train it again"
        )
    height, width = logits.shape[-2:]
    return int(height), int(width)
