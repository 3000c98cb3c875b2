"""The bundle's float graph in the peers' forms: the input is a normalized RGB image, the output differs.

They are the same network with the same weights. Channel order and scale, which edgeseg's exporter folded into the first
convolution, are removed again, because a network is usually used with these outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import BundleError, MissingDependencyError
from ...runtime.bundle import Bundle

if TYPE_CHECKING:
    import onnx

INPUT = "image"
_COARSE = "logits"


def graph_path(folder: str | Path, form: str) -> Path:
    """Returns the path of the graph's form ``coarse``, ``frame``, ``frame-argmax``, ``input`` or ``input-argmax``."""
    return Path(folder) / f"{form}.onnx"


def write_graphs(bundle: Bundle, frame_size_hw: tuple[int, int], folder: Path) -> None:
    """Writes every form of the bundle's float graph.

    Args:
        bundle: with a variant of ``fp32``.
        frame_size_hw: height and width of the frames.
        folder: the folder to write into.

    Raises:
        BundleError: the bundle has no float variant, or its graph does not begin like edgeseg's.
        MissingDependencyError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError("onnx", "export", "writing the graphs of the peers") from error
    coarse = float_graph(bundle)
    onnx.save(coarse, graph_path(folder, "coarse"))
    classes = len(bundle.labels)
    for name, size_hw in (("frame", frame_size_hw), ("input", bundle.input_size_hw)):
        full = with_resize(coarse, classes, bundle.output_size_hw, size_hw)
        onnx.save(full, graph_path(folder, name))
        onnx.save(with_argmax(full, size_hw), graph_path(folder, f"{name}-argmax"))


def float_variant(bundle: Bundle) -> str:
    """Returns the name of the bundle's float32 variant.

    Raises:
        BundleError: it has none.
    """
    for variant in bundle.variants.values():
        if variant.precision == "fp32":
            return variant.name
    raise BundleError(
        f"bundle {bundle.path} has no fp32 variant, which its peers run; export it with --precision fp32,…"
    )


def float_graph(bundle: Bundle) -> onnx.ModelProto:
    """Returns the graph ``image`` float32 [1, 3, H, W], RGB, normalized -> ``logits`` float32 [1, C, h, w].

    Raises:
        BundleError: as :func:`write_graphs`.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    variant = bundle.variant(float_variant(bundle))
    model = onnx.load_model_from_string(variant.read())
    graph = model.graph
    head = [node.op_type for node in graph.node[:3]]
    if head != ["Cast", "Transpose", "Sub"]:
        raise BundleError(
            f"{variant.path} begins with {', '.join(head)}; expected Cast, Transpose, Sub as edgeseg exports it"
        )
    last, cut = graph.node[2].output[0], 3
    if [node.op_type for node in graph.node[3:5]] == ["Mul", "Gather"]:
        last, cut = graph.node[4].output[0], 5
    else:
        entry = bundle.manifest["input"]
        scale_rgb = 1 / (255 * np.array(entry["std_rgb"], np.float64))
        weights = {item.name: item for item in graph.initializer}
        for name in _first_weights(graph.node, last, str(variant.path)):
            folded = numpy_helper.to_array(weights[name]).astype(np.float64)  # [out, 3, kh, kw], BGR
            plain = (folded[:, ::-1] / scale_rgb.reshape(1, 3, 1, 1)).astype(np.float32)
            weights[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(plain), name))
    kept = list(graph.node[cut:])
    for node in kept:
        node.input[:] = [INPUT if name == last else name for name in node.input]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    spare = [item for item in graph.initializer if item.name not in used]
    for item in spare:
        graph.initializer.remove(item)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, *bundle.input_size_hw]))
    _set_output(model, _COARSE, [1, len(bundle.labels), *bundle.output_size_hw], TensorProto.FLOAT)
    return model


def with_resize(
    coarse: onnx.ModelProto, classes: int, coarse_hw: tuple[int, int], size_hw: tuple[int, int]
) -> onnx.ModelProto:
    """Appends the last bilinear upsampling: ``full`` float32 [1, C, H, W]."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    model = ModelProto()
    model.CopyFrom(coarse)
    if coarse_hw == size_hw:
        model.graph.node.append(helper.make_node("Identity", [_COARSE], ["full"], name="full"))
    else:
        sizes = numpy_helper.from_array(np.array([1, classes, *size_hw], np.int64), "full_size")
        model.graph.initializer.append(sizes)
        model.graph.node.append(
            helper.make_node(
                "Resize", [_COARSE, "", "", "full_size"], ["full"], name="full",
                mode="linear", coordinate_transformation_mode="half_pixel",
            )
        )  # fmt: skip
    _set_output(model, "full", [1, classes, *size_hw], TensorProto.FLOAT)
    return model


def with_argmax(full: onnx.ModelProto, size_hw: tuple[int, int]) -> onnx.ModelProto:
    """Appends the argmax: ``classes`` uint8 [1, H, W]."""
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto()
    model.CopyFrom(full)
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", ["full"], ["best"], name="best", axis=1, keepdims=0),
            helper.make_node("Cast", ["best"], ["classes"], name="classes", to=TensorProto.UINT8),
        ]
    )
    _set_output(model, "classes", [1, *size_hw], TensorProto.UINT8)
    return model


def decode_graph(classes: int, coarse_hw: tuple[int, int], size_hw: tuple[int, int]) -> onnx.ModelProto:
    """Returns Resize and ArgMax alone: ``logits`` float32 [1, C, h, w] -> ``classes`` uint8 [1, H, W]."""
    from onnx import TensorProto, helper

    # The nodes are appended to this one, so that they are the same as in the whole graphs.
    start = helper.make_node("Identity", ["coarse"], [_COARSE], name="coarse")
    entry = helper.make_tensor_value_info("coarse", TensorProto.FLOAT, [1, classes, *coarse_hw])
    leave = helper.make_tensor_value_info(_COARSE, TensorProto.FLOAT, [1, classes, *coarse_hw])
    graph = helper.make_graph([start], "decode", [entry], [leave])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return with_argmax(with_resize(model, classes, coarse_hw, size_hw), size_hw)


def _first_weights(nodes: Sequence[onnx.NodeProto], tensor: str, origin: str) -> list[str]:
    """Returns the weights of the convolutions that read the image, directly or after zero padding."""
    found = []
    for node in nodes:
        if tensor not in node.input:
            continue
        if node.op_type == "Pad":
            found += _first_weights(nodes, node.output[0], origin)
        elif node.op_type == "Conv":
            found.append(node.input[1])
        else:
            raise BundleError(f"{origin} feeds the image to {node.op_type}; expected the first convolution")
    return found


def _set_output(model: onnx.ModelProto, name: str, shape: Sequence[int], element_type: int) -> None:
    from onnx import helper

    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, element_type, list(shape)))
