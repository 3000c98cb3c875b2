"""The measurement of stability: flicker is seen, smoothing is judged by the true motion, and a film has no truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.benchmarks.stability.measure import TRUTH, measure
from edgeseg.benchmarks.stability.report import results_of, treatments_of
from edgeseg.benchmarks.stability.sequences import FIRST_SEED, FlightSequences, SequencePlan
from edgeseg.cli.main import main
from edgeseg.data.aerial import AerialFlight
from edgeseg.data.aerial.labels import AERIAL_LABELS, ROAD
from edgeseg.runtime.bundle import Bundle

PLAN = SequencePlan(flights=1, frames=6, fps=25.0, size_hw=(120, 160))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    for number in range(4):
        writer.write(np.roll(picture, number, 1))
    writer.release()
    return path


def test_smoothing_is_judged_by_truth_and_true_motion(bundle_folder: Path) -> None:
    flight = AerialFlight(FIRST_SEED, PLAN.size_hw, PLAN.fps)
    truths = {frame.tobytes(): truth for frame, truth in map(flight.frame, range(PLAN.frames))}
    calls = 0

    def network(frame: np.ndarray) -> np.ndarray:
        """The truth, but in every third frame with a block that is wrong."""
        nonlocal calls
        seen = truths[frame.tobytes()].copy()
        if calls % 3 == 1:
            seen[40:70, 40:70] = (seen[40:70, 40:70] + 1) % len(AERIAL_LABELS)
        calls += 1
        return seen

    flights = FlightSequences(PLAN)
    treatments = treatments_of(["net"], has_truth=True, hazards=("person",))
    assert [each.name for each in treatments] == [
        TRUTH,
        "net",
        "net, flow",
        "net, pose",
        "net, flow, hazards",
    ]
    scores = measure(flights, {"net": network}, treatments, AERIAL_LABELS)
    change = {name: score.by_pose.warped_change for name, score in scores.items()}
    assert scores[TRUTH].accuracy.pixel_accuracy == 1
    assert change["net"] > change[TRUTH]
    for name in ("net, flow", "net, pose"):
        assert change[name] < 0.7 * change["net"]
        assert scores[name].accuracy.pixel_accuracy > scores["net"].accuracy.pixel_accuracy
        assert len(scores[name].ms) == PLAN.frames
        assert scores[name].resets == 0
    results = results_of(scores, flights, Bundle.load(bundle_folder), AERIAL_LABELS)
    main_table, by_class, ious, by_flight = results.tables
    assert [row[0] for row in main_table.rows] == list(scores)
    assert [row[0] for row in by_class.rows] == [row[0] for row in ious.rows] == list(AERIAL_LABELS.names)
    assert len(by_flight.rows) == 1
    assert by_class.rows[ROAD][1] != "–"
    assert any(line.startswith("net, flow: -") and "points of mIoU" in line for line in results.words)
    figures = json.loads(json.dumps(results.figures))
    assert figures["treatments"]["net"]["by_pose"]["warped_change"] == pytest.approx(change["net"])


def test_a_film_is_judged_by_flow(
    bundle_folder: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [
        "benchmark",
        "stability",
        str(bundle_folder),
        "--source",
        str(film),
        "--frames",
        "3",
        "--out",
        str(out),
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Measured on 3 frames of film.avi." in printed
    assert "which flatters what was smoothed along flow" in printed
    result = json.loads((out / "stability.json").read_text())
    assert list(result["treatments"]) == ["fp32", "fp32, flow"]
    assert result["treatments"]["fp32"]["by_flow"]["pairs"] == 2
    assert result["command"] == (
        f"edgeseg benchmark stability {bundle_folder} --source {film} --frames 3 --out {out}"
    )
    assert "| class maps | raw % | by flow % | consistency |" in (out / "stability.md").read_text()
    assert main(words) == 2
    assert "exists; give --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "knows other classes than the aerial world, which has the truth; give --source with a video"),
        (["--source", "nowhere.mp4"], "--source nowhere.mp4: expected a video file"),
        (["--flights", "0"], "--flights 0, --frames 40: expected 1 flight and 2 frames or more"),
        (["--frames", "1"], "--flights 6, --frames 1: expected 1 flight and 2 frames or more"),
        (["--fps", "0"], "--fps 0: expected 1 to 240"),
        (["--threads", "9999"], "--threads 9999: expected 1 to"),
        (["--frame", "wide"], "--frame wide: expected WIDTHxHEIGHT"),
        (["--variant", "int4"], "has no variant 'int4'"),
        (["--hazards", "tank"], "'tank' is not a class of the network"),
        (["--against", "torch"], "unrecognized arguments: --against"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], message: str, bundle_folder: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words and words[0] in ("--variant", "--hazards"):
        words = [*words, "--source", str(film)]
    assert main(["benchmark", "stability", str(bundle_folder), *words]) == 2
    assert message in capsys.readouterr().err


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "stability", "--help"])
    assert "usage: edgeseg benchmark stability" in capsys.readouterr().out
