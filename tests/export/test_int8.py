"""INT8 from the command line to the bundle: what is written, what is refused, and what the gates hold it to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgeseg.calibration.graph import INPUT, LOGITS, Graph, with_outputs
from edgeseg.calibration.session import open_session
from edgeseg.cli.main import run_verb
from edgeseg.core.labels import LabelMap
from edgeseg.data.voc import VocDataset
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.export.report.console import _advice, _bounds
from edgeseg.export.verification.frames import VocFrames
from edgeseg.export.verification.gates import Gates
from edgeseg.export.verification.latency import Latencies, latencies_in_turn
from edgeseg.export.verification.verify import VerifyRequest, verify
from edgeseg.models.checkpoint import Checkpoint, save_checkpoint
from edgeseg.models.pretrained import resolve_weights
from edgeseg.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgeseg.runtime.bundle import Bundle

from .conftest import NoiseFrames

MakeDataset = Callable[..., Path]

SIZE_HW = (32, 48)
LABELS = LabelMap.from_pairs([("ground", (0, 0, 0)), ("road", (128, 64, 128)), ("car", (64, 0, 128))])
WIDE = ("--budget", "10", "--class-budget", "20")
"""Budgets for a tiny network on a few small images: what is tested is that they are kept."""


def fit(root: Path) -> Checkpoint:
    """A U-Net of random weights whose last convolution is fitted to the set by least squares."""
    random = resolve_weights("unet", "random", 3, {"width": 4, "depth": 2})
    info = replace(random.info, labels=LABELS, input_size_hw=SIZE_HW)
    model = export_graph(Checkpoint(info, random.state).build(), info, SIZE_HW)
    (score,) = (node for node in model.graph.node if node.output[0] == LOGITS)
    session = open_session(with_outputs(model, [score.input[0]]))
    dataset = VocDataset(root, "train")
    samples = [dataset.read(index) for index in range(len(dataset))]
    inputs = np.concatenate(
        [
            np.moveaxis(session.run(None, {INPUT: s.frame_bgr[None]})[0][0], 0, -1).reshape(-1, 4)
            for s in samples
        ]
    )
    mask = np.concatenate([sample.mask.ravel() for sample in samples])
    design = np.hstack([inputs, np.ones((len(inputs), 1))])[mask < 3]
    solution = np.linalg.lstsq(design, np.eye(3)[mask[mask < 3]], rcond=None)[0].T.astype(np.float32)
    state = {
        **random.state,
        "score.weight": torch.from_numpy(solution[:, :4, None, None].copy()),
        "score.bias": torch.from_numpy(solution[:, 4].copy()),
    }
    return Checkpoint(info, state)


@pytest.fixture(scope="module")
def fitted() -> list[Checkpoint]:
    """The weights, once they have been fitted: the data set is the same in every test."""
    return []


@pytest.fixture
def place(here: Path, make_dataset: MakeDataset, fitted: list[Checkpoint]) -> Path:
    """A folder with a data set ``set`` and weights ``fitted.safetensors`` that understand it."""
    root = make_dataset(train=12, val=6, size_hw=SIZE_HW)
    if not fitted:
        fitted.append(fit(root))
    (checkpoint,) = fitted
    save_checkpoint(here / "fitted.safetensors", checkpoint.build(), checkpoint.info)
    return here


def export(*argv: str) -> int:
    given = ("--model", "unet", "--weights", "fitted.safetensors", "--data", "set", "--out", "bundle")
    return run_verb("export", (*given, *argv), prog="export.py")


def int8(*argv: str) -> int:
    return export("--precision", "fp32,int8", "--calibrate", "set", *WIDE, *argv)


def logits_of(bundle: Bundle, name: str, frame: np.ndarray) -> np.ndarray:
    with OnnxRuntimeBackend(bundle.variant(name), bundle.input_size_hw) as backend:
        return backend.infer(frame)


def test_export_calibrates_and_verifies_both_targets(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8() == 0
    said = capsys.readouterr().out
    assert "int8-cpu" in said
    assert "int8-tensorrt" in said
    assert "On this CPU int8-cpu takes" in said
    assert said.count("with 95 % confidence") == 2
    bundle = Bundle.load("bundle")
    assert {name: (v.precision, v.target) for name, v in bundle.variants.items()} == {
        "fp32": ("fp32", "any"),
        "int8-cpu": ("int8", "cpu"),
        "int8-tensorrt": ("int8", "tensorrt"),
    }
    assert bundle.manifest["variants"]["fp32"]["calibration"] is None
    record = json.loads(Path("bundle-calibration/calibration.json").read_text())
    for target in ("cpu", "tensorrt"):
        variant = bundle.manifest["variants"][f"int8-{target}"]
        calibration = variant["calibration"]
        assert (calibration["budget"], calibration["class_budget"]) == (10, 20)
        assert (calibration["pictures"], calibration["held_back"]) == (12, 6)
        assert calibration["source"] == "set, split train"
        assert calibration["searched"]
        assert calibration["excluded"] == record["plans"][target]["excluded"]
        assert calibration["picture_hashes"] == record["picture_hashes"]
        assert calibration["never_seen"] == []
        chosen = calibration["chosen"]
        assert chosen["miou_lost"] <= chosen["miou_lost_at_most"] <= 10
        assert chosen["worst_class_lost"] <= chosen["worst_class_lost_at_most"] <= 20
        assert variant["parity"]["passed"]
        assert Path(f"bundle-calibration/exclude-{target}.txt").exists()
    gates = json.loads(Path("bundle/verification.json").read_text())["variants"]["int8-cpu"]["gates"]
    assert [(gate["gate"], gate["limit"]) for gate in gates] == [
        ("finite logits", 0), ("real disagreement", 0.1), ("mean IoU", pytest.approx(0.1)),
        ("class IoU", pytest.approx(0.2)),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_a_second_export_reuses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8("--target", "cpu") == 0
    first = Bundle.load("bundle").variant("int8-cpu").sha256
    assert int8("--target", "cpu", "--force") == 0
    assert "reusing the ranges of bundle-calibration/calibration.json" in capsys.readouterr().out
    assert Bundle.load("bundle").variant("int8-cpu").sha256 == first
    assert list(Bundle.load("bundle").variants) == ["fp32", "int8-cpu"]


@pytest.mark.slow
def test_each_variant_runs_with_the_numerics_of_its_target(place: Path, fitted: list[Checkpoint]) -> None:
    # The second convolution lies between two that are quantized.
    names = list(Graph(export_graph(fitted[0].build(), fitted[0].info, SIZE_HW)).operators)
    Path("mine.txt").write_text(f"{names[1]}\n")
    assert int8("--exclude", "mine.txt") == 0
    bundle = Bundle.load("bundle")
    frame = VocDataset(Path("set"), "val").read(0).frame_bgr[None]
    models = {name: onnx.load(variant.path) for name, variant in bundle.variants.items()}
    apart = open_session(models["int8-tensorrt"], fuse_quantized=False).run([LOGITS], {INPUT: frame})[0]
    np.testing.assert_array_equal(logits_of(bundle, "int8-tensorrt", frame), apart)
    # With an excluded convolution: it must run in float here as it did where its budget was measured.
    fused = open_session(models["int8-cpu"]).run([LOGITS], {INPUT: frame})[0]
    np.testing.assert_array_equal(logits_of(bundle, "int8-cpu", frame), fused)
    kinds = {node.op_type for node in models["int8-tensorrt"].graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds


def test_verifying_on_calibration_images_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8("--target", "cpu", "--split", "train") == 2
    error = capsys.readouterr().err
    assert "of the frames to verify on are calibration images (train_0, train_1, train_2" in error
    assert "verify on another --split" in error
    assert not Path("bundle").exists()


def test_later_verification_on_calibration_images_is_refused_too(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int8("--target", "cpu") == 0
    verb = ["bundle", "--data", "set", "--split", "train", "--out", "report"]
    assert run_verb("verify", verb, prog="edgeseg verify") == 2
    assert "are calibration images (train_0" in capsys.readouterr().err
    assert run_verb("verify", [*verb, "--variant", "fp32"], prog="edgeseg verify") == 0


def test_a_variant_past_its_budget_leaves_no_bundle(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert int8("--target", "cpu", "--method", "minmax") == 0
    record = json.loads(Path("bundle-calibration/calibration.json").read_text())
    # As if calibrated on something black: every activation is clipped to next to nothing.
    record["ranges"]["minmax"] = {
        name: [low / 50, high / 50] for name, (low, high) in record["ranges"]["minmax"].items()
    }
    Path("clipped.json").write_text(json.dumps(record))
    Path("none.txt").write_text("# all of it in INT8\n")
    given = (
        "--precision",
        "fp32,int8",
        "--target",
        "cpu",
        "--ranges",
        "clipped.json",
        "--exclude",
        "none.txt",
    )
    capsys.readouterr()
    assert export(*given, *WIDE, "--method", "minmax", "--out", "clipped") == 1
    error = capsys.readouterr().err
    assert "unet is not exported: int8-cpu: " in error
    assert "mean IoU: mean IoU falls by" in error
    assert "above the budget of 10" in error
    assert "INT8 keeps a budget better the more images" in error
    assert not Path("clipped").exists()
    page = Path("clipped-verification/verification.html").read_text(encoding="utf-8")
    assert "minmax ranges, biases as they are, 0 convolutions in float" in page


@pytest.mark.parametrize(
    "given",
    [
        ("--calibrate", "set"),
        ("--budget", "0.5"),
        ("--class-budget", "0"),
        ("--target", "cpu"),
        ("--method", "auto"),
        ("--calibration-images", "8"),
        ("--ranges", "a.json"),
        ("--exclude", "a.txt"),
    ],
    ids=lambda given: given[0],
)
def test_options_of_int8_without_int8(
    place: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, str]
) -> None:
    assert export(*given) == 2
    assert "without an int8 variant; add --precision fp32,int8" in capsys.readouterr().err
    assert not Path("bundle").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "INT8 needs activation ranges: give labelled images with --calibrate DIR"),
        (("--calibrate", "set", "--target", "cpu,tpu"), "unknown INT8 target 'tpu'; known: tensorrt, cpu"),
        (
            ("--calibrate", "set", "--target", "cpu,"),
            "--target 'cpu,': expected different names, separated by commas",
        ),
        (("--calibrate", "set", "--method", "mse"), "unknown calibration method 'mse'"),
        (("--calibrate", "set", "--budget", "-1"), "--budget -1: expected points of IoU, 0 or more"),
        (("--calibrate", "set", "--calibration-images", "1"), "--calibration-images 1: expected at least 2"),
        (("--calibrate", "elsewhere"), "there is no data set folder elsewhere"),
        (("--calibrate", "set", "--ranges", "a.json"), "there is no file a.json"),
    ],
)
def test_bad_input_is_one_clear_line(
    place: Path, capsys: pytest.CaptureFixture[str], given: tuple[str, ...], message: str
) -> None:
    assert export("--precision", "int8", *given) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not Path("bundle").exists()


@pytest.mark.slow
def test_without_truth_int8_is_judged_by_the_pixels_that_move(place: Path) -> None:
    assert int8("--target", "cpu") == 0
    bundle = Bundle.load("bundle")
    other = LabelMap.from_pairs([("sky", (1, 2, 3)), ("sea", (3, 2, 1))])
    blind = verify(bundle, NoiseFrames(other, 2), VerifyRequest(variants=["int8-cpu"])).variants[0]
    assert [verdict.gate for verdict in blind.verdicts] == ["finite logits", "real disagreement"]
    labelled = VocFrames(Path("set"), "val", None)
    seen = verify(bundle, labelled, VerifyRequest(variants=["int8-cpu"])).variants[0]
    judged = ["finite logits", "real disagreement", "mean IoU", "class IoU"]
    assert [verdict.gate for verdict in seen.verdicts] == judged
    # A network that knows nothing has no IoU to lose; that its masks are others shows all the same.
    gates = Gates.for_precision("int8", bundle.manifest["variants"]["int8-cpu"]["calibration"])
    moved = replace(seen.summary, real_disagreement=0.3)
    assert [verdict.gate for verdict in gates.judge(moved) if not verdict.passed] == ["real disagreement"]


def test_the_gates_are_the_budgets(place: Path) -> None:
    budgets: dict[str, Any] = {"budget": 0.3, "class_budget": 0.7}
    gates = Gates.for_precision("int8", budgets)
    assert gates.miou_drop == pytest.approx(0.003)
    assert gates.class_drop == pytest.approx(0.007)
    assert Gates.for_precision("fp32").miou_drop is None


@pytest.mark.slow
def test_latencies_are_of_both_measured_here(place: Path) -> None:
    assert int8("--target", "cpu") == 0
    bundle = Bundle.load("bundle")
    found = latencies_in_turn(onnx.load(bundle.variant("fp32").path), bundle, rounds=3)
    assert set(found.milliseconds) == {"fp32", "int8-cpu"}
    assert min(found.milliseconds.values()) > 0
    assert found.speed_up == found.milliseconds["fp32"] / found.milliseconds["int8-cpu"]


def test_the_advice_goes_both_ways() -> None:
    faster = _advice(Latencies({"fp32": 30.0, "int8-cpu": 12.0}))
    assert faster == "On this CPU int8-cpu takes 12.0 ms a frame and fp32 30.0 ms: 2.5 times as fast."
    for fp32 in (8.0, 10.0, 10.2):
        slower = _advice(Latencies({"fp32": fp32, "int8-cpu": 10.0}))
        assert "INT8 is not faster for this network here. Run fp32" in slower


def test_the_report_says_what_is_lost_and_at_most() -> None:
    figures = {"miou_lost": 0.21, "miou_lost_at_most": 0.479, "worst_class_lost": -0.001}
    assert _bounds(figures) == "mean IoU lost 0.21, at most 0.48 with 95 % confidence"
    assert _bounds({**figures, "worst_class_lost_at_most": 0.9}) == (
        "mean IoU lost 0.21, at most 0.48; the worst class lost 0.00, at most 0.90 with 95 % confidence"
    )
    assert _bounds({"miou_lost": 0.21, "worst_class_lost": 0.3}) == "", "an earlier calibration has no bounds"
    assert _bounds({}) == ""


@pytest.mark.slow
def test_a_backend_verifies_the_variants_it_takes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert int8() == 0
    bundle = Bundle.load("bundle")
    frames = VocFrames(Path("set"), "val", None)
    assert [v.name for v in verify(bundle, frames).variants] == ["fp32", "int8-cpu", "int8-tensorrt"]
    monkeypatch.setattr(OnnxRuntimeBackend, "name", "elsewhere")  # the name alone tells that all are measured
    monkeypatch.setattr(OnnxRuntimeBackend, "targets", classmethod(lambda cls, device: ("any", "tensorrt")))
    assert [v.name for v in verify(bundle, frames).variants] == ["fp32", "int8-tensorrt"]
