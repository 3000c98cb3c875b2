"""``edgeseg run --free-space``: the finding of each result, and what is refused before the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.cli.main import run_verb

Run = Callable[..., int]

FREE = ("--free-space", "dark", "--camera-tilt", "10", "--camera-height", "1.2")


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the tiny bundle on a dark road below a bright sky, with a grey post on it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "road").mkdir()
    frame = np.full((240, 320, 3), 215, np.uint8)
    frame[110:] = 40
    frame[100:150, 120:200] = 128
    for index in range(3):
        cv2.imwrite(f"road/{index}.png", frame)

    def call(*args: str) -> int:
        words = ["--bundle", str(bundle_folder), "--source", "road", *args]
        return run_verb("run", words, prog="edgeseg run")

    return call


def test_every_result_has_its_free_space(run: Run, tmp_path: Path) -> None:
    assert run(*FREE, "--camera", "70", "--stats", "s.json", "--save", "o.mp4") == 0
    stats = json.loads((tmp_path / "s.json").read_text())
    assert stats["findings"]["free_space"] == {"valid": 3}
    capture = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    _, drawn = capture.read()
    capture.release()
    assert run("--stats", "p.json", "--save", "p.mp4") == 0
    capture = cv2.VideoCapture(str(tmp_path / "p.mp4"))
    _, plain = capture.read()
    capture.release()
    changed = np.abs(drawn.astype(int) - plain).max(2) > 40
    assert changed[140:160, 130:190].any()  # the post's foot
    assert changed[170:, 240:].mean() > 0.3  # the bird's-eye grid
    assert "free_space" not in json.loads((tmp_path / "p.json").read_text()).get("findings", {})


def test_frames_of_another_form_than_the_calibration_have_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "image_width: 640\nimage_height: 360\n"
        "camera_matrix:\n  rows: 3\n  cols: 3\n  data: [500, 0, 319.5, 0, 500, 179.5, 0, 0, 1]\n"
        "distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [0, 0, 0, 0, 0]\n"
    )
    assert run(*FREE, "--camera", "c.yaml", "--stats", "s.json") == 0
    assert json.loads((tmp_path / "s.json").read_text())["findings"]["free_space"] == {"camera-mismatch": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (FREE, "--free-space needs the camera, and road does not know its field of view; give --camera"),
        (
            (*FREE[:1], "lane", *FREE[2:], "--camera", "70"),
            "'lane' is not a class of the network; it knows dark",
        ),
        (
            (*FREE, "--camera", "70", "--pitch-error", "9"),
            "with a pitch error of 9 degrees no distance is known to 20%; expected a smaller error",
        ),
        ((*FREE, "--camera", "none.yaml"), "none.yaml"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert run(*words, "--masks", "m") == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.count("\n") == 1
