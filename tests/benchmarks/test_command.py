"""``edgeseg benchmark`` from end to end, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.benchmarks import peers
from edgeseg.benchmarks.contender import Contender
from edgeseg.benchmarks.peers.base import Setting
from edgeseg.cli.main import main
from edgeseg.core.errors import BackendError
from edgeseg.runtime.bundle import Bundle


def test_a_comparison_is_printed_and_written(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [
        "benchmark", str(small_bundle.path), "--against", "onnxruntime-frame,onnxruntime-input", "--backend",
        "onnxruntime", "--frame", "200x120", "--threads", "1", "--rounds", "2", "--out", str(out),
    ]  # fmt: skip
    assert main(words) == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "benchmark.json").read_text())
    rows = {row["name"]: row for row in result["contenders"]}
    assert list(rows) == [
        "edgeseg-onnxruntime",
        "edgeseg-onnxruntime-spin",
        "onnxruntime-frame",
        "onnxruntime-input",
    ]
    for name, row in rows.items():
        assert name in printed
        assert 0 < row["ms"]["p50"] <= row["ms"]["p90"] <= row["ms"]["p99"]
        spinning = "" if name == "edgeseg-onnxruntime" else "spinning "
        assert row["bare_network"] == f"onnxruntime {spinning}fp32"
        assert 10 < row["memory_mb"] <= row["peak_memory_mb"]
        steps = [value for step, value in row["start_ms"].items() if step != "total"]
        assert sum(steps) == pytest.approx(row["start_ms"]["total"])
        assert min(steps) > 0
    assert rows["edgeseg-onnxruntime"]["agreement"] > 0.999
    assert not rows["onnxruntime-input"]["same_map"]
    assert result["samples"] == 8
    assert result["frames"] == {"source": "aerial:7", "count": 8, "size_hw": [120, 200]}
    assert result["machine"]["packages"]["onnxruntime"]
    assert 0 < result["decode"]["mixed_cells"] < 1
    assert all(way["agreement"] > 0.9999 for way in result["decode"]["ways"].values())
    page = (out / "benchmark.md").read_text()
    assert result["command"] in page
    assert "| edgeseg-onnxruntime | exact | fp32 |" in page
    assert cv2.imdecode(np.frombuffer((out / "benchmark.png").read_bytes(), np.uint8), 1).shape[1] > 500
    assert main(words) == 2
    assert "exists; give --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--frame 1280", "--frame 1280: expected WIDTHxHEIGHT"),
        ("--frame 0x720", "--frame 0x720: expected WIDTHxHEIGHT"),
        ("--rounds 0", "--rounds 0: expected 1 or more"),
        ("--threads 9999", "--threads 9999: expected 1 to"),
        ("--against tvm", "--against tvm: expected onnxruntime, openvino, torch"),
        ("--backend tvm", "--backend tvm: expected onnxruntime"),
        ("--variant int4", "has no variant 'int4'; it has fp32"),
        ("--source nowhere.mp4", "there is no nowhere.mp4"),
    ],
)
def test_a_bad_option_is_one_line(
    options: str, message: str, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", str(small_bundle.path), *options.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_peer_that_is_named_and_missing_is_refused(
    small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgeseg.benchmarks.peers.base.find_spec", lambda name: None)
    assert main(["benchmark", str(small_bundle.path), "--against", "openvino"]) == 2
    assert (
        capsys.readouterr().err == "edgeseg benchmark: error: --against openvino: openvino is not installed\n"
    )


def test_images_of_several_sizes_need_a_frame(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, size_hw in enumerate([(40, 60), (60, 40)]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((*size_hw, 3), np.uint8))
    assert main(["benchmark", str(small_bundle.path), "--source", str(tmp_path)]) == 2
    assert "are of 2 sizes; give --frame" in capsys.readouterr().err


def test_a_contender_that_fails_says_its_last_words(setting: Setting, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"onnxruntime-frame failed: .*nowhere\.npy"):
        Contender("onnxruntime-frame", setting, tmp_path / "nowhere.npy", [0])


def test_every_contender_is_told_apart_by_its_group() -> None:
    assert {peers.group_of(name) for name in peers.names()} == {"edgeseg", *peers.groups()}
