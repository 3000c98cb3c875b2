"""``edgeseg export`` and ``edgeseg verify`` as a user types them, and what they say to bad input."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from edgeseg.cli.main import main, run_verb
from edgeseg.core.labels import LabelMap, voc_labels
from edgeseg.export.graph import onnx_file
from edgeseg.export.verification import gates
from edgeseg.models import registry
from edgeseg.models.checkpoint import Checkpoint, save_checkpoint
from edgeseg.runtime.bundle import Bundle

UNET = (
    "--model",
    "unet",
    "--weights",
    "random",
    "--classes",
    "4",
    "--option",
    "width=8",
    "--option",
    "depth=2",
)
QUICK = (*UNET, "--size", "64x96", "--frames", "2")
ON_DATA = (*QUICK, "--data", "data")


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    """Two images in VOC layout, quicker to come by than a world."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "data" / "JPEGImages" / f"{number}.png"), image)
        cv2.imwrite(
            str(tmp_path / "data" / "SegmentationClass" / f"{number}.png"), np.zeros((48, 64), np.uint8)
        )
    (tmp_path / "data" / "ImageSets" / "Segmentation" / "val.txt").write_text("0\n1\n")
    voc_labels().write(tmp_path / "data" / "labelmap.txt")


def export(*argv: str) -> int:
    return run_verb("export", argv, prog="export.py")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_export_then_verify(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(*QUICK, "--precision", "fp32,fp16") == 0
    said = capsys.readouterr().out
    assert "python run_camera.py --bundle bundle/unet" in said
    bundle = Bundle.load("bundle/unet")
    assert all(variant.parity and variant.parity["passed"] for variant in bundle.variants.values())
    assert sorted(os.listdir("bundle")) == ["unet", "unet-verification"]
    assert json.loads(Path("bundle/unet/verification.json").read_text())["passed"]

    before = hashes(bundle.path)
    verb = ["bundle/unet", "--source", "aerial:3", "--frames", "2", "--variant", "fp16", "--out", "report"]
    assert run_verb("verify", verb, prog="edgeseg verify") == 0
    assert "refused" not in capsys.readouterr().out
    assert hashes(bundle.path) == before, "verifying changes nothing in a bundle"
    assert list(json.loads(Path("report/verification.json").read_text())["variants"]) == ["fp16"]
    assert Path("report/verification.html").stat().st_size > 10_000


def test_a_video_is_verified_without_truth_and_shows_flicker(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(*ON_DATA) == 0
    writer = cv2.VideoWriter("film.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for number in range(3):
        writer.write(np.random.default_rng(number).integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    capsys.readouterr()
    verb = ["bundle/unet", "--source", "film.avi", "--out", "report"]
    assert run_verb("verify", verb, prog="edgeseg verify") == 0
    said = capsys.readouterr().out
    assert "flicker" in said
    assert "over 2 pairs" in " ".join(said.split())
    assert "No truth: a video has no labels" in said
    found = json.loads(Path("report/verification.json").read_text())
    assert found["frames"]["count"] == 3
    assert list(found["stability"]) == ["PyTorch", "fp32"]
    assert found["stability"]["PyTorch"] == found["stability"]["fp32"]
    assert "<h2>Flicker</h2>" in Path("report/verification.html").read_text()
    assert found["stability"]["fp32"]["warped_change"] is None, "noise cannot be followed"
    assert "stability" not in json.loads(Path("bundle/unet/verification.json").read_text())
    assert (
        run_verb(
            "verify", ["bundle/unet", "--source", "film.avi", "--out", "film.avi"], prog="edgeseg verify"
        )
        == 2
    )


def test_weights_from_elsewhere_with_their_labels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = registry.build("unet", 4, {"width": 8, "depth": 2})
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, "theirs.pth")
    LabelMap.generic(4).write(Path("labelmap.txt"))
    options = ("--model", "unet", "--option", "width=8", "--option", "depth=2", "--weights", "theirs.pth")
    assert export(*options, "--size", "64x96") == 2
    assert "add --labels labelmap.txt" in capsys.readouterr().err
    assert export(*options, "--labels", "labelmap.txt") == 2
    assert "add --weights FILE and --size HxW" in capsys.readouterr().err
    assert export(*options, "--labels", "labelmap.txt", "--size", "64x96", "--frames", "1") == 0
    manifest = json.loads(Path("bundle/unet/bundle.json").read_text())
    assert manifest["weights"]["name"] == "theirs"
    assert Bundle.load("bundle/unet").labels == LabelMap.generic(4)


def test_the_same_export_twice_is_the_same_bundle(here: Path) -> None:
    for name in ("a", "b"):
        assert export(*ON_DATA, "--out", name) == 0
    assert hashes(Path("a")) == hashes(Path("b"))


def test_a_bundle_that_fails_its_gates_is_not_left_in_place(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = gates.Gates(real_disagreement=1e-4, logit_error=1e-12, tie_margin=1e-4)
    monkeypatch.setitem(gates._DEFAULTS, "fp32", strict)
    assert export(*ON_DATA) == 1
    error = capsys.readouterr().err
    assert "unet is not exported: fp32: logit error: a logit of class" in error
    assert "bundle/unet-verification/verification.html" in error
    assert os.listdir("bundle") == ["unet-verification"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--precision", "fp32,int3"), "unknown precision 'int3'; known: fp32, fp16"),
        (
            ("--precision", "fp32,,fp16"),
            "--precision 'fp32,,fp16': expected different names, separated by commas",
        ),
        (("--size", "64"), "'64' is not a size; expected HEIGHTxWIDTH"),
        (("--frames", "0"), "--frames is 0"),
        (("--source", "0"), "--source 0 has no labels to verify on"),
        (("--data", "nowhere"), "there is no data set folder nowhere"),
        (("--option", "width"), "--option width: expected KEY=VALUE"),
        (("--model", "vnet"), "unknown network 'vnet'; known: lraspp"),
        (("--weights", "nothing.safetensors"), "cannot read the checkpoint nothing.safetensors"),
        (("--weights", "four.safetensors", "--classes", "5"), "tell 4 classes apart, not 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_clear_line(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    checkpoint: Checkpoint,
    argv: tuple[str, ...],
    message: str,
) -> None:
    save_checkpoint(here / "four.safetensors", checkpoint.build(), checkpoint.info)
    arguments = [*QUICK]
    if "four.safetensors" in argv:
        arguments = ["--model", "unet"]
    assert export(*arguments, *argv) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not Path("bundle").exists()


def test_an_output_folder_that_exists(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bundle/unet").mkdir(parents=True)
    assert export(*ON_DATA) == 2
    assert "bundle/unet exists; give --force to replace it, or another name" in capsys.readouterr().err
    assert export(*ON_DATA, "--force") == 0


def test_a_disk_that_fills_half_way(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_bytes(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx_file.Path, "write_bytes", write_bytes)
    assert export(*ON_DATA) == 2
    assert "unet.fp32.onnx: No space left on device" in capsys.readouterr().err
    assert os.listdir("bundle") == []


class TestVerify:
    def verify(self, *argv: str) -> int:
        return run_verb("verify", argv, prog="edgeseg verify")

    def test_no_bundle(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.verify("nowhere") == 2
        assert "there is no bundle at nowhere" in capsys.readouterr().err

    def test_an_altered_bundle(self, here: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(bundle.path, "altered")
        path = Path("altered/unet.fp16.onnx")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        assert self.verify("altered") == 2
        assert "unet.fp16.onnx was altered" in capsys.readouterr().err

    def test_an_unknown_variant(self, here: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.verify(str(bundle.path), "--variant", "int8", "--out", "report") == 2
        assert "has no variant 'int8'; it has fp32, fp16" in capsys.readouterr().err

    def test_a_report_inside_the_bundle(self, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.verify(str(bundle.path), "--out", str(bundle.path / "report")) == 2
        assert "would replace the bundle" in capsys.readouterr().err

    def test_a_bundle_past_its_gates(
        self, here: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strict = gates.Gates(real_disagreement=0.0, logit_error=1e-12, tie_margin=0.0)
        monkeypatch.setitem(gates._DEFAULTS, "fp16", strict)
        assert self.verify(str(bundle.path), "--data", "data", "--out", "report") == 1
        error = capsys.readouterr().err
        assert "does not pass its gates: fp16: " in error
        assert "fp32" not in error
        assert Path("report/verification.html").exists(), "the report of a refusal shows why"

    @pytest.mark.parametrize(
        ("there", "option"),
        [
            ("report/verification.json", ("--out", "report")),
            ("report/verification.html", ("--out", "report")),
            ("sheet.png", ("--contact-sheet", "sheet.png")),
        ],
    )
    def test_what_exists_is_replaced_only_with_force(
        self,
        here: Path,
        bundle: Bundle,
        capsys: pytest.CaptureFixture[str],
        there: str,
        option: tuple[str, ...],
    ) -> None:
        Path(there).parent.mkdir(exist_ok=True)
        Path(there).write_text("mine")
        words = (str(bundle.path), "--data", "data", "--frames", "1", "--variant", "fp32", *option)
        assert self.verify(*words) == 2
        assert f"{there} exists; give --force to replace it, or another name" in capsys.readouterr().err
        assert Path(there).read_text() == "mine"
        assert self.verify(*words, "--force") == 0
        assert Path(there).read_bytes() != b"mine"

    def test_the_report_beside_the_bundle_is_always_the_newest(self, here: Path, bundle: Bundle) -> None:
        for variant in ("fp32", "fp16"):
            shutil.copytree(bundle.path, "b", dirs_exist_ok=True)
            assert self.verify("b", "--data", "data", "--frames", "1", "--variant", variant) == 0
            assert list(json.loads(Path("b-verification/verification.json").read_text())["variants"]) == [
                variant
            ]


def test_a_terminated_export_leaves_nothing(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    script = (
        "import os, signal, sys, edgeseg.export.pipeline as p\n"
        "def killed(*args, **kwargs): os.kill(os.getpid(), signal.SIGTERM)\n"
        "p.write_bundle = killed\n"
        "from edgeseg.cli.main import main\n"
        "sys.exit(main(['export', '--model', 'unet', '--option', 'width=4', '--weights', 'random', '--out', 'b']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (130, "edgeseg export: stopped\n")
    assert set(tmp_path.iterdir()) == before


def test_an_input_smaller_than_the_deepest_stride_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main(["export", "--model", "unet", "--option", "width=4", "--weights", "random", "--size", "7x9"])
        == 2
    )
    assert "an input of 7x9 is too small: both sides must be at least 32 pixels" in capsys.readouterr().err
