"""``--stabilise`` in a run: every output agrees on the smoothed class map, and a recording keeps the network's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edgeseg.apps.recording.reading import Recording
from edgeseg.cli.main import run_verb
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.sources import open_source

SOURCE = "aerial:7?size=96x128&frames=6&fps=10"


def run(*words: str) -> int:
    return run_verb("run", words, prog="edgeseg run")


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("method", ["flow", "pose"])
def test_masks_shares_and_events_are_of_the_smoothed_class_map(
    method: str, bundle_folder: Path, tmp_path: Path
) -> None:
    status = run(
        "--bundle", str(bundle_folder), "--source", SOURCE, "--stabilise", method, "--masks", str(tmp_path / "m"),
        "--masks-format", "npz", "--events", str(tmp_path / "e.jsonl"), "--record", str(tmp_path / "r"),
        "--stats", str(tmp_path / "s.json"),
    )  # fmt: skip
    assert status == 0
    with Segmenter(bundle_folder) as segmenter, open_source(SOURCE) as source:
        raw = []
        while (frame := source.read()) is not None:
            raw.append(segmenter(frame).classes.copy())
    with np.load(next((tmp_path / "m").glob("*.npz"))) as file:
        masks = file["classes"]
    assert len(masks) == len(raw) == 6
    np.testing.assert_array_equal(masks[0], raw[0])
    assert not np.array_equal(masks, raw), "nothing was smoothed"
    kept = [frame.classes for frame in Recording(tmp_path / "r").frames()]
    np.testing.assert_array_equal(kept, raw)
    results = [event for event in events_of(tmp_path / "e.jsonl") if event["type"] == "result"]
    for mask, event in zip(masks, results, strict=True):
        for class_id, name in enumerate(segmenter.labels.names):
            assert event["shares"].get(name, 0) == pytest.approx((mask == class_id).mean(), abs=1e-4)
    assert json.loads((tmp_path / "s.json").read_text())["findings"] == {"stabilise": {"valid": 6}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stabilise", "--stabilise-hazards", "tank"], "'tank' is not a class of the network; it knows "),
        (["--stabilise", "pose"], "--stabilise pose needs the vehicle's attitude, height and position, and "),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], message: str, bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((40, 60, 3), np.uint8))
    masks = ["--masks", str(tmp_path / "m")]
    status = run("--bundle", str(bundle_folder), "--source", str(tmp_path / "image.png"), *masks, *words)
    assert status == 2
    assert message in capsys.readouterr().err
