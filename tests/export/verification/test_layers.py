"""Each operator is judged by itself: what is broken on purpose is named, and nothing else is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.quantize import quantize
from edgeseg.cli.main import main
from edgeseg.core.errors import UsageError, VerificationError
from edgeseg.export.graph.half import to_half
from edgeseg.export.report.layers import compare_bundle
from edgeseg.export.verification.layers import LayerComparison, compare_layers
from edgeseg.export.verification.stepwise import walk
from edgeseg.models.checkpoint import Checkpoint
from edgeseg.runtime.bundle import Bundle
from onnx import helper, numpy_helper

Array = npt.NDArray[np.generic]
FORMS = [
    "fp16",
    pytest.param("tensorrt", marks=pytest.mark.slow),
    pytest.param("cpu", marks=pytest.mark.slow),
    pytest.param("tensorrt, half", marks=pytest.mark.slow),
]
MIDDLE = "Conv_15"


def frames(count: int = 2, size_hw: tuple[int, int] = (64, 96)) -> Iterator[Array]:
    for seed in range(count):
        coarse = np.random.default_rng(seed).integers(0, 256, (1, 8, 12, 3), np.uint8)
        yield coarse.repeat(size_hw[0] // 8, 1).repeat(size_hw[1] // 12, 2)


@pytest.fixture(scope="module")
def fp32(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load(bundle.variant("fp32").path)


@pytest.fixture(scope="module")
def variants(fp32: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    ranges: dict[str, tuple[float, float]] = {}
    for frame in frames():
        for node, (output, *_) in walk(fp32, {"frame": frame}):
            low, high = ranges.get(node.output[0], (0.0, 0.0))
            ranges[node.output[0]] = (min(low, float(output.min())), max(high, float(output.max())))
    tensorrt, cpu = (quantize(Graph(fp32), ranges, target) for target in ("tensorrt", "cpu"))
    return {"fp16": to_half(fp32), "tensorrt": tensorrt, "cpu": cpu, "tensorrt, half": to_half(tensorrt)}


def changed(model: onnx.ModelProto, **changes: Callable[[Array], Array]) -> onnx.ModelProto:
    """A copy with other constants."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    found = {item.name: item for item in copy.graph.initializer}
    for name, change in changes.items():
        value = numpy_helper.to_array(found[name])
        found[name].CopyFrom(numpy_helper.from_array(change(value.copy()).astype(value.dtype), name))
    return copy


def constant(model: onnx.ModelProto, node_name: str, port: int) -> str:
    """The name of the constant that an operator reads, behind its DQ where it has one."""
    nodes = {node.name: node for node in model.graph.node}
    producers = {node.output[0]: node for node in model.graph.node}
    name = nodes[node_name].input[port]
    return producers[name].input[0] if name in producers else name


def compare(reference: onnx.ModelProto, variant: onnx.ModelProto, form: str = "fp16") -> LayerComparison:
    precision = "fp16" if form == "fp16" else "int8"
    return compare_layers(reference, variant, frames(), name=form, precision=precision)


def departing(comparison: LayerComparison) -> list[str]:
    return [operator.name for operator in comparison.operators if operator.departs]


@pytest.mark.parametrize("form", FORMS)
def test_a_sound_variant_names_none(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto], form: str
) -> None:
    comparison = compare(fp32, variants[form], form)
    assert departing(comparison) == []
    assert comparison.first is None
    assert comparison.frames == 2
    assert (
        "no operator departs by more than its rounding; at logits the errors add up to"
        in comparison.verdict()
    )
    names = [node.name for node in fp32.graph.node]
    assert [operator.name for operator in comparison.operators] == names
    assert comparison.operators[-1].total.relative > 0
    quantized = [operator for operator in comparison.operators if operator.range is not None]
    assert bool(quantized) == (form != "fp16")
    assert all(operator.clipped == 0 for operator in quantized), "calibrated on these very frames"


@pytest.mark.parametrize("form", FORMS)
def test_a_bias_that_moved_is_named(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto], form: str
) -> None:
    def shift(bias: Array) -> Array:
        bias[0] += 2e4 if bias.dtype == np.int32 else 0.5
        return bias

    broken = changed(variants[form], **{constant(variants[form], MIDDLE, 2): shift})
    comparison = compare(fp32, broken, form)
    assert departing(comparison) == [MIDDLE]
    advice = "export it again" if form == "fp16" else f"keep {MIDDLE} in float: add it to the exclusion list"
    assert comparison.verdict().startswith(f"{MIDDLE} departs by ")
    assert advice in comparison.verdict()


def test_a_bias_that_calibration_moved_is_left_out(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto]
) -> None:
    weight, bias = (constant(variants["tensorrt"], MIDDLE, port) for port in (1, 2))
    moved = changed(variants["tensorrt"], **{bias: lambda b: b + np.linspace(-1, 1, b.size)})
    broken = changed(moved, **{weight: lambda w: w[:, ::-1]})
    for variant, corrected, expected in (
        (moved, (), [MIDDLE]),
        (moved, (MIDDLE,), []),
        (broken, (MIDDLE,), [MIDDLE]),
    ):
        comparison = compare_layers(
            fp32, variant, frames(), name="int8", precision="int8", corrected=corrected
        )
        assert departing(comparison) == expected


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_changed_are_named(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto], form: str
) -> None:
    def mirror(weight: Array) -> Array:
        return np.concatenate([weight[:1, :, ::-1], weight[1:]])

    broken = changed(variants[form], **{constant(variants[form], MIDDLE, 1): mirror})
    assert departing(compare(fp32, broken, form)) == [MIDDLE]


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_range_that_is_too_narrow_is_named(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto], form: str
) -> None:
    tensor = next(node.input[0] for node in fp32.graph.node if node.name == MIDDLE)
    broken = changed(variants[form], **{f"{tensor}_scale": lambda scale: scale * 0.3})
    # Of int32 biases the step belongs to the range that was: the reader departs too, but later.
    comparison = compare(fp32, broken, form)
    assert comparison.first is not None
    assert comparison.first.output == tensor
    assert comparison.first.range_departs
    assert comparison.first.clipped > 0.005
    assert set(departing(comparison)) <= {comparison.first.name, MIDDLE}
    assert f"the range of {tensor} is too narrow" in comparison.verdict()
    assert "calibrate on more images" in comparison.verdict()


def test_the_errors_before_an_operator_are_not_its_own(
    fp32: onnx.ModelProto, variants: dict[str, onnx.ModelProto]
) -> None:
    broken = changed(variants["fp16"], **{constant(variants["fp16"], MIDDLE, 2): lambda bias: bias + 0.5})
    operators = {operator.name: operator for operator in compare(fp32, broken).operators}
    position = list(operators).index(MIDDLE)
    for before in list(operators.values())[:position]:
        assert before.total.relative < 2e-3
    last = list(operators.values())[-1]
    assert last.total.relative > 0.02
    assert last.own.relative < 1e-3


def test_what_overflows_in_float16_is_named(fp32: onnx.ModelProto) -> None:
    weight, bias = (constant(fp32, MIDDLE, port) for port in (1, 2))
    huge = changed(fp32, **{weight: lambda w: w * 3e4, bias: lambda b: b * 3e4})
    comparison = compare(huge, to_half(huge))
    assert comparison.first is not None
    assert comparison.first.name == MIDDLE
    assert f"{MIDDLE} gives values that are not finite" in comparison.verdict()


def test_a_variant_with_other_names_is_refused(fp32: onnx.ModelProto) -> None:
    other = onnx.ModelProto()
    other.CopyFrom(fp32)
    other.graph.node[3].name = "node_of_another_exporter"
    with pytest.raises(
        VerificationError, match=r"has no Conv called Conv_3: its names are not those of the fp32"
    ):
        compare(fp32, other)


def test_a_variant_that_is_wired_otherwise_is_refused(fp32: onnx.ModelProto) -> None:
    other = onnx.ModelProto()
    other.CopyFrom(fp32)
    node = next(node for node in other.graph.node if node.name == MIDDLE)
    node.input[0] = "Relu_6"
    with pytest.raises(
        VerificationError, match=rf"{MIDDLE} reads Relu_6 in the variant and .* in the fp32 graph"
    ):
        compare(fp32, other)
    scaled = onnx.ModelProto()
    scaled.CopyFrom(fp32)
    node = next(node for node in scaled.graph.node if node.name == MIDDLE)
    scaled.graph.node.append(helper.make_node("Neg", [node.input[0]], ["negated"], name="Negative"))
    node.input[0] = "negated"
    with pytest.raises(VerificationError, match="Negative is a Neg that the fp32 graph does not have"):
        compare(fp32, scaled)


def test_no_frames(fp32: onnx.ModelProto) -> None:
    with pytest.raises(VerificationError, match="there are no frames to compare"):
        compare_layers(fp32, fp32, [], name="fp32", precision="fp32")


@pytest.mark.slow
def test_onnxruntimes_own_quantizer_is_understood(fp32: onnx.ModelProto, tmp_path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = frames()

        def get_next(self) -> dict[str, Array] | None:
            frame = next(self.left, None)
            return None if frame is None else {"frame": frame}

    onnx.save(fp32, tmp_path / "fp32.onnx")
    quantize_static(
        tmp_path / "fp32.onnx",
        tmp_path / "q.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "ConvTranspose"],
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
    comparison = compare(fp32, onnx.load(tmp_path / "q.onnx"), "int8")
    assert departing(comparison) == []
    assert sum(operator.range is not None for operator in comparison.operators) > 5


@pytest.mark.slow
def test_without_an_fp32_variant_the_checkpoint_is_exported_again(
    bundle: Bundle, tmp_path: Path, noise: object, checkpoint: Checkpoint
) -> None:
    import json

    folder = tmp_path / "half"
    shutil.copytree(bundle.path, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / manifest["variants"].pop("fp32")["file"]).unlink()
    manifest["default_variant"] = "fp16"
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (comparison,) = compare_bundle(Bundle.load(folder), noise)  # type: ignore[arg-type]
    assert comparison.variant == "fp16"
    assert comparison.first is None


class TestCommand:
    """``edgeseg verify --layers``."""

    def test_a_sound_bundle(self, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(bundle.path), "--layers", "--frames", "1"]) == 0
        shown = capsys.readouterr().out
        assert "comparing the operators of unet on 1 frames of aerial:7" in shown
        assert MIDDLE in shown
        assert "fp16: no operator departs by more than its rounding" in shown

    def test_a_broken_variant_is_a_failure(
        self, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from edgeseg.runtime.checked_files import file_sha256

        folder = tmp_path / "broken"
        shutil.copytree(bundle.path, folder)
        path = folder / bundle.variant("fp16").path.name
        model = onnx.load(path)
        onnx.save(changed(model, **{constant(model, MIDDLE, 2): lambda bias: bias + 1}), path)
        manifest = (
            (folder / "bundle.json").read_text().replace(bundle.variant("fp16").sha256, file_sha256(path))
        )
        (folder / "bundle.json").write_text(manifest)
        assert main(["verify", str(folder), "--layers", "--variant", "fp16", "--frames", "1"]) == 1
        shown = capsys.readouterr()
        assert re.search(rf"^first +{MIDDLE} ", shown.out, re.MULTILINE)
        assert f"fp16: {MIDDLE} departs by " in shown.err

    def test_fp32_alone_has_nothing_to_compare(
        self, bundle: Bundle, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["verify", str(bundle.path), "--layers", "--variant", "fp32"]) == 1
        assert "name an fp16 or int8 variant" in capsys.readouterr().err

    def test_options_that_would_do_nothing(self, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(bundle.path), "--layers", "--device", "cuda"]) == UsageError.exit_status
        assert "--device has no effect with --layers" in capsys.readouterr().err

    def test_an_unknown_backend(self, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", str(bundle.path), "--backend", "abacus", "--frames", "1"]) == 2
        assert "abacus" in capsys.readouterr().err
