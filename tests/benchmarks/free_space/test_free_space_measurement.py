"""The measurement of free space: its tables, its page, and options that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.benchmarks.free_space.__main__ import main
from edgeseg.core.labels import LabelMap
from edgeseg.core.palette_png import encode


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two dark roads below bright skies, with the classes of the tiny bundle; the second has a grey car on it."""
    labels = LabelMap.from_pairs(
        [("dark", (128, 64, 128)), ("grey", (70, 160, 70)), ("bright", (220, 60, 60))]
    )
    root = tmp_path / "data"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    labels.write(root / "labelmap.txt")
    for index in range(2):
        mask = np.full((64, 96), 2, np.uint8)
        mask[32:] = 0
        if index:
            mask[24:48, 32:64] = 1
        frame = np.array([40, 128, 215], np.uint8)[mask]
        cv2.imwrite(str(root / f"JPEGImages/{index}.png"), np.repeat(frame[..., None], 3, 2))
        (root / f"SegmentationClass/{index}.png").write_bytes(encode(mask, labels.palette_rgb()))
    (root / "ImageSets/Segmentation/val.txt").write_text("0\n1\n")
    return root


def test_a_network_is_judged_beside_the_exact_masks(
    bundle_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--bundle", str(bundle_folder), "--data", str(data), "--drivable", "dark", "--watch", "grey"]
    assert main([*words, "--out", str(out), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    result = json.loads((out / "free_space.json").read_text(encoding="utf-8"))
    exact, fp32 = result["measured"]
    assert exact["class_maps"] == "exact masks"
    assert exact["columns"] == fp32["columns"] == 192
    assert exact["error_px"] == {"p50": 0.0, "p90": 0.0, "p99": 0.0}
    assert exact["unsafe_share"] == exact["early_share"] == 0.0
    assert fp32["class_maps"] == "fp32, onnxruntime"
    assert fp32["error_px"]["p99"] <= 4  # the stride of its logits
    assert fp32["misses"]["grey"]["pixels"] == 24 * 32
    assert fp32["misses"]["grey"]["missed"] < 0.3 * 24 * 32
    assert [each["count"] for each in fp32["misses"]["grey"]["by_size"]] == [0, 0, 0, 1, 0]
    assert "the boundary is off by 0.0 px (median)" in printed
    page = (out / "free_space.md").read_text(encoding="utf-8")
    assert "wholly missed" in page
    assert (out / "boundary.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frames", "0"], "--frames 0: expected 1 or more"),
        (["--drivable", "lane"], "'lane' is not a class of the network; it knows dark, grey, bright"),
        (["--drivable", "dark", "--watch", "cow"], "--watch cow: the network knows dark, grey, bright"),
    ],
)
def test_impossible_options_are_refused(
    bundle_folder: Path, data: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--bundle", str(bundle_folder), "--data", str(data), *words]) == 2
    assert message in capsys.readouterr().err


def test_other_classes_have_no_truth(
    bundle_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LabelMap.from_pairs([("a", (128, 64, 128)), ("b", (70, 160, 70)), ("c", (220, 60, 60))]).write(
        data / "labelmap.txt"
    )
    assert main(["--bundle", str(bundle_folder), "--data", str(data), "--drivable", "dark"]) == 2
    assert "are not those of" in capsys.readouterr().err
