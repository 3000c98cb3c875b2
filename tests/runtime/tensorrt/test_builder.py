"""Real engines by TensorRT for RTX, and what is said of graphs and options that it does not take."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeseg.core.errors import BackendError, BundleError, OutputError, UsageError
from edgeseg.runtime.bundle import Variant
from edgeseg.runtime.tensorrt.builder import BuildRequest, build_engine
from edgeseg.runtime.tensorrt.messages import Messages, make_logger
from edgeseg.runtime.tensorrt.module import TensorRT, network_flags
from edgeseg.runtime.tensorrt.network import add_decoding, parse_onnx, set_batch
from edgeseg.runtime.tensorrt.options import BuildOptions
from edgeseg.runtime.tensorrt.progress import BuildProgress
from onnx import helper, numpy_helper

SIZE_HW = (32, 48)


class Built:
    """A network as it goes to the builder, with all that must outlive it."""

    def __init__(self, tensorrt: TensorRT, path: Path, options: BuildOptions) -> None:
        trt = tensorrt.module
        messages = Messages()
        self.logger = make_logger(trt, messages)
        self.builder = trt.Builder(self.logger)
        self.network = self.builder.create_network(network_flags(trt))
        parse_onnx(trt, self.network, self.logger, messages, path.read_bytes(), path)
        set_batch(self.network, path, SIZE_HW, options)
        if options.frame_size_hw is not None:
            add_decoding(trt, self.network, options.frame_size_hw)
        self.outputs = {t.name: t for t in map(self.network.get_output, range(self.network.num_outputs))}

    def layers(self, kind: Any) -> list[Any]:
        layers = map(self.network.get_layer, range(self.network.num_layers))
        return [layer for layer in layers if layer.type == kind]


OPTIONS = {
    "one frame": BuildOptions(),
    "four frames": BuildOptions(batch=(4, 4)),
    "one to four frames": BuildOptions(batch=(1, 4)),
    "decoding": BuildOptions(frame_size_hw=SIZE_HW),
    "decoding of four frames": BuildOptions(batch=(4, 4), frame_size_hw=SIZE_HW),
    "decoding to another size": BuildOptions(frame_size_hw=(100, 130)),
    "decoding to another size of one to four frames": BuildOptions(batch=(1, 4), frame_size_hw=(101, 77)),
    "decoding to the logits' size": BuildOptions(frame_size_hw=(8, 12)),
    "two compute capabilities": BuildOptions(compute_capabilities=("8.6", "8.9")),
    "workspace and level": BuildOptions(workspace_bytes=64 << 20, optimization_level=1),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_builds(rtx: TensorRT, variant: Variant, options: BuildOptions) -> None:
    seen: list[BuildProgress] = []
    engine = build_engine(
        rtx, BuildRequest(variant.path, SIZE_HW, options, sha256=variant.sha256), on_progress=seen.append
    )
    assert len(engine) > 10_000
    assert [p.fraction for p in seen] == sorted(p.fraction for p in seen)
    assert seen[0].fraction < 0.2
    assert seen[-1].fraction == 1


def test_the_options_reach_tensorrt(rtx: TensorRT, variant: Variant) -> None:
    """Two engines for other GPUs, sizes or batches are not the same bytes; the same options give the same length."""
    lengths = {
        name: len(build_engine(rtx, BuildRequest(variant.path, SIZE_HW, options)))
        for name, options in OPTIONS.items()
        if name != "workspace and level"
    }
    assert len(set(lengths.values())) == len(lengths), lengths


@pytest.mark.parametrize("batch", [(1, 1), (3, 3), (1, 4)])
@pytest.mark.parametrize("frame_size_hw", [None, SIZE_HW, (100, 130), (8, 12)])
def test_the_tensors(
    rtx: TensorRT, variant: Variant, batch: tuple[int, int], frame_size_hw: tuple[int, int] | None
) -> None:
    trt = rtx.module
    built = Built(rtx, variant.path, BuildOptions(batch=batch, frame_size_hw=frame_size_hw))
    n = batch[0] if batch[0] == batch[1] else -1
    tensors = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in built.outputs.items()}
    expected = {"logits": (trt.float32, (n, 3, 8, 12))}
    if frame_size_hw is not None:
        expected["classes"] = (trt.uint8, (n, *frame_size_hw))
        expected["sum"] = (trt.float32, (n, 1, 1, 1))
    assert tensors == expected
    frame = built.network.get_input(0)
    assert (frame.name, frame.dtype, tuple(frame.shape)) == ("frame", trt.uint8, (n, *SIZE_HW, 3))


def test_the_decoding_is_the_runtimes_own(rtx: TensorRT, variant: Variant) -> None:
    """Bilinear with half-pixel centres, then the best over the channels; the sum over all but the batch."""
    trt = rtx.module
    built = Built(rtx, variant.path, BuildOptions(frame_size_hw=SIZE_HW))
    (resize,) = built.layers(trt.LayerType.RESIZE)
    resize.__class__ = trt.IResizeLayer
    assert resize.resize_mode == trt.InterpolationMode.LINEAR
    assert resize.coordinate_transformation == trt.ResizeCoordinateTransformation.HALF_PIXEL
    assert built.layers(trt.LayerType.TOPK) == []
    reductions = built.layers(trt.LayerType.REDUCE)
    for reduction in reductions:
        reduction.__class__ = trt.IReduceLayer
    assert [(each.op, each.axes, each.keep_dims) for each in reductions] == [
        (trt.ReduceOperation.MAX, 0b0010, True),
        (trt.ReduceOperation.MIN, 0b0010, False),
        (trt.ReduceOperation.SUM, 0b1110, True),
    ]
    *_, comparison = built.layers(trt.LayerType.ELEMENTWISE)
    comparison.__class__ = trt.IElementWiseLayer
    assert comparison.op == trt.ElementWiseOperation.EQUAL
    assert comparison.get_input(0).name == resize.get_output(0).name
    (selection,) = built.layers(trt.LayerType.SELECT)
    assert selection.get_input(0).name == comparison.get_output(0).name
    *_, indices, void = built.layers(trt.LayerType.CONSTANT)
    for constant in (indices, void):
        constant.__class__ = trt.IConstantLayer
    assert np.asarray(indices.weights).ravel().tolist() == [0, 1, 2]
    assert np.asarray(void.weights).ravel().tolist() == [255]


def test_nothing_is_resized_to_the_size_that_it_has(rtx: TensorRT, variant: Variant) -> None:
    built = Built(rtx, variant.path, BuildOptions(frame_size_hw=(8, 12)))
    assert built.layers(rtx.module.LayerType.RESIZE) == []


def test_float16_graphs_stay_what_they_are(rtx: TensorRT, write_graph: Callable[..., Path]) -> None:
    """Strongly typed: the tensor between the casts is float16, because the graph says so."""
    nodes = [
        helper.make_node("Transpose", ["floats"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["halves"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("Relu", ["halves"], ["positive"], name="relu"),
        helper.make_node("Cast", ["positive"], ["logits"], to=onnx.TensorProto.FLOAT),
    ]
    path = write_graph(*nodes)
    built = Built(rtx, path, BuildOptions())
    (relu,) = built.layers(rtx.module.LayerType.ACTIVATION)
    assert relu.get_output(0).dtype == rtx.module.float16
    assert len(build_engine(rtx, BuildRequest(path, SIZE_HW))) > 10_000


def test_a_graph_that_quantizes_explicitly(rtx: TensorRT, write_graph: Callable[..., Path]) -> None:
    """Q/DQ as TensorRT wants it: symmetric int8, weights by channel; its convolution needs no flag."""
    names = ("scale", "zero", "w", "w_scale", "w_zero")
    arrays = (
        np.array(0.1, np.float32),
        np.array(0, np.int8),
        np.ones((4, 3, 1, 1), np.float32),
        np.full(4, 0.01, np.float32),
        np.zeros(4, np.int8),
    )
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
            for name, array in zip(names, arrays, strict=True)
        ),
        helper.make_node("Transpose", ["floats"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("QuantizeLinear", ["nchw", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("QuantizeLinear", ["w", "w_scale", "w_zero"], ["w_q"], axis=0),
        helper.make_node("DequantizeLinear", ["w_q", "w_scale", "w_zero"], ["w_dq"], axis=0),
        helper.make_node("Conv", ["dq", "w_dq"], ["logits"], name="conv"),
    ]
    assert len(build_engine(rtx, BuildRequest(write_graph(*nodes), SIZE_HW))) > 10_000


def test_an_operator_that_tensorrt_lacks_is_named(rtx: TensorRT, write_graph: Callable[..., Path]) -> None:
    path = write_graph(helper.make_node("Det", ["floats"], ["logits"], name="head/determinant"))
    with pytest.raises(BackendError) as told:
        build_engine(rtx, BuildRequest(path, SIZE_HW))
    text = str(told.value)
    assert f"TensorRT does not take {path}: node 'head/determinant', operator Det:" in text
    assert "TensorRT has no such operator. Export the bundle again" in text
    assert "--backend onnxruntime" in text


def test_tensorrts_reason_is_told(rtx: TensorRT, write_graph: Callable[..., Path]) -> None:
    path = write_graph(transpose=(0, 1, 2, 7))
    with pytest.raises(BackendError, match=r"node 'to_nchw', operator Transpose: .*axis is: 7"):
        build_engine(rtx, BuildRequest(path, SIZE_HW))


def test_a_build_that_fails_tells_tensorrts_reason(rtx: TensorRT, variant: Variant) -> None:
    with pytest.raises(BackendError, match=r"TensorRT for RTX .* cannot build .*onnx: .*workspace"):
        build_engine(rtx, BuildRequest(variant.path, SIZE_HW, BuildOptions(workspace_bytes=1 << 20)))


class Refusing:
    """TensorRT's module, whose builder says a text and gives no engine."""

    def __init__(self, module: Any, said: str) -> None:
        self._module, self._said = module, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def Builder(self, logger: Any) -> Any:  # noqa: N802  TensorRT's name
        module, said, builder = self._module, self._said, self._module.Builder(logger)

        class RefusingBuilder:
            def __getattr__(self, name: str) -> Any:
                return getattr(builder, name)

            def build_serialized_network(self, network: Any, config: Any) -> None:
                logger.log(module.ILogger.ERROR, said)

        return RefusingBuilder()


QUANTIZED = (
    helper.make_node("Constant", [], ["scale"], value_float=1.0),
    helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.int8(0))),
    helper.make_node("QuantizeLinear", ["floats", "scale", "zero"], ["q"], name="q"),
    helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["logits"], name="dq"),
)


@pytest.mark.parametrize(
    ("node", "nodes", "way_out"),
    [
        (
            "w + node_of_dqconv.dwconv + PWN(node_of_swish.sigmoid, node_of_swish.mul)",
            QUANTIZED,
            " in INT8; leave the convolution in it in float, one a line of the list that export takes with --exclude,"
            " or build the fp16 variant: --precision fp16",
        ),
        (
            "backbone.7.block.1.0.weight_DQ + Conv_57 + PWN(HardSwish_58)",
            QUANTIZED,
            " in INT8; leave Conv_57 in float, one a line of the list that export takes with --exclude,"
            " or build the fp16 variant: --precision fp16",
        ),
        (
            "{ForeignNode[Conv_1 + Relu_2...Conv_9]}",
            QUANTIZED,
            " in INT8; leave the convolution in it in float, one a line of the list that export takes with --exclude,"
            " or build the fp16 variant: --precision fp16",
        ),
        ("ArgMax_260", (), "; give it more --workspace, or build the fp32 variant: --precision fp32"),
    ],
)
def test_a_node_without_a_kernel_is_told_with_the_way_out(
    rtx: TensorRT,
    write_graph: Callable[..., Path],
    node: str,
    nodes: tuple[onnx.NodeProto, ...],
    way_out: str,
) -> None:
    said = (
        "[optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error"
        f" (Could not find any implementation for node {node}.)"
    )
    old = TensorRT("tensorrt", "8.6.11", Refusing(rtx.module, said))
    path = write_graph(*nodes)
    with pytest.raises(BackendError) as told:
        build_engine(old, BuildRequest(path, SIZE_HW))
    assert (
        str(told.value)
        == f"TensorRT 8.6.11 cannot build {path}: it has no kernel for the node {node!r}{way_out}"
    )


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"names": ("image", "logits")},
            r"has the inputs \['image'\] and outputs \['logits'\]; expected frame",
        ),
        ({"names": ("frame", "scores")}, r"outputs \['scores'\]; expected frame and logits"),
        (
            {"frame": (1, 30, 40, 3)},
            r"takes frames of shape \[1, 30, 40, 3\]; its bundle promises \[N, 32, 48, 3\]",
        ),
    ],
)
def test_a_graph_of_another_form(
    rtx: TensorRT, write_graph: Callable[..., Path], graph: dict[str, Any], message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        build_engine(rtx, BuildRequest(write_graph(**graph), SIZE_HW))


@pytest.mark.parametrize(("batch", "asked"), [((4, 4), "4"), ((1, 4), r"1\.\.4")])
def test_a_graph_for_single_frames_takes_no_other_batch(
    rtx: TensorRT, write_graph: Callable[..., Path], batch: tuple[int, int], asked: str
) -> None:
    path = write_graph()
    assert len(build_engine(rtx, BuildRequest(path, SIZE_HW))) > 10_000
    with pytest.raises(
        BackendError, match=f"takes 1 frame a call and no other number, and batch {asked} was"
    ):
        build_engine(rtx, BuildRequest(path, SIZE_HW, BuildOptions(batch=batch)))


def test_bytes_that_are_no_graph(rtx: TensorRT, tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"not a graph at all")
    with pytest.raises(BackendError, match="is no ONNX graph"):
        build_engine(rtx, BuildRequest(path, SIZE_HW))


def test_an_altered_graph_is_refused(rtx: TensorRT, variant: Variant) -> None:
    variant.path.write_bytes(variant.path.read_bytes() + b"\x2a\x00")
    with pytest.raises(BundleError, match="was altered since its bundle was opened"):
        build_engine(rtx, BuildRequest(variant.path, SIZE_HW, sha256=variant.sha256))


def test_tensors_in_other_files_are_refused(rtx: TensorRT, variant: Variant, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.onnx"
    onnx.save(
        onnx.load(variant.path), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    with pytest.raises(BackendError, match="keeps tensors in other files"):
        build_engine(rtx, BuildRequest(path, SIZE_HW))


class TestOptionsThatAFlavourHasNot:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (BuildOptions(dla_core=0), r"has no DLA; .* --flavour tensorrt$"),
            (
                BuildOptions(portable=True),
                "runs on all the GPUs that it knows but Turing; leave --portable out",
            ),
            (BuildOptions(compute_capabilities=("5.2",)), r"'5\.2'; it knows 7\.5, .*8\.9"),
        ],
    )
    def test_rtx(self, rtx: TensorRT, variant: Variant, options: BuildOptions, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            build_engine(rtx, BuildRequest(variant.path, SIZE_HW, options))

    def test_rtx_has_no_timings(self, rtx: TensorRT, variant: Variant, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="times nothing when it builds; leave --timing-cache out"):
            build_engine(rtx, BuildRequest(variant.path, SIZE_HW, timing_cache=tmp_path / "cache"))

    def test_a_machine_without_dla(self, classic: TensorRT, variant: Variant) -> None:
        with pytest.raises(UsageError, match=r"TensorRT 10\.3\.0 finds 0 on this machine.*JetPack 7\.2\.2"):
            build_engine(classic, BuildRequest(variant.path, SIZE_HW, BuildOptions(dla_core=0)))

    def test_dla_takes_no_range(self, classic: TensorRT, variant: Variant) -> None:
        with pytest.raises(UsageError, match=r"a fixed number of frames; batch 1\.\.4 was asked for"):
            build_engine(classic, BuildRequest(variant.path, SIZE_HW, BuildOptions(batch=(1, 4), dla_core=0)))

    def test_other_gpus(self, variant: Variant) -> None:
        plain = TensorRT("tensorrt", "10.3.0", object())
        with pytest.raises(
            UsageError, match=r"only for the GPU of this machine; .*8\.6: --flavour tensorrt_rtx"
        ):
            build_engine(
                plain, BuildRequest(variant.path, SIZE_HW, BuildOptions(compute_capabilities=("8.6",)))
            )


def test_warnings_are_surfaced_and_nothing_is_printed(
    classic: TensorRT, variant: Variant, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorRT for RTX warns of this option of its elder brother's."""
    warnings: list[str] = []
    build_engine(
        classic, BuildRequest(variant.path, SIZE_HW, BuildOptions(portable=True)), on_warning=warnings.append
    )
    assert warnings == ["setHardwareCompatibilityLevel() is unsupported in TensorRT-RTX."]
    assert capfd.readouterr() == ("", "")


def test_a_clean_build_has_no_warnings(rtx: TensorRT, variant: Variant) -> None:
    warnings: list[str] = []
    build_engine(rtx, BuildRequest(variant.path, SIZE_HW), on_warning=warnings.append)
    assert warnings == []


def test_ctrl_c_cancels_the_build(rtx: TensorRT, variant: Variant) -> None:
    seen: list[BuildProgress] = []

    def interrupt(progress: BuildProgress) -> None:
        seen.append(progress)
        if len(seen) == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_engine(rtx, BuildRequest(variant.path, SIZE_HW), on_progress=interrupt)
    assert len(seen) < 10
    assert seen[-1].fraction < 1


def test_a_listener_that_fails_cancels_the_build(rtx: TensorRT, variant: Variant) -> None:
    def fail(progress: BuildProgress) -> None:
        raise BrokenPipeError("stderr is gone")

    with pytest.raises(BrokenPipeError, match="stderr is gone"):
        build_engine(rtx, BuildRequest(variant.path, SIZE_HW), on_progress=fail)


@pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")
class TestTimingCache:
    def build(self, classic: TensorRT, variant: Variant, path: Path) -> list[str]:
        warnings: list[str] = []
        build_engine(
            classic, BuildRequest(variant.path, SIZE_HW, timing_cache=path), on_warning=warnings.append
        )
        return warnings

    def test_is_made_and_read_again(self, classic: TensorRT, variant: Variant, tmp_path: Path) -> None:
        path = tmp_path / "folder/timings"
        assert self.build(classic, variant, path) == []
        written = path.read_bytes()
        assert len(written) > 50
        assert [p.name for p in path.parent.iterdir()] == ["timings"]

    def test_a_file_of_something_else_is_ignored_with_a_line_and_kept(
        self, classic: TensorRT, variant: Variant, tmp_path: Path
    ) -> None:
        path = tmp_path / "timings"
        path.write_bytes(b"these are no timings, whatever they are")
        warnings = self.build(classic, variant, path)
        assert any(f"{path} holds no timings of this TensorRT and device" in line for line in warnings)
        assert path.read_bytes() == b"these are no timings, whatever they are"

    def test_one_that_cannot_be_written_is_told_before_the_build(
        self, classic: TensorRT, variant: Variant, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError, match="cannot write"):
            self.build(classic, variant, tmp_path / "file" / "timings")
