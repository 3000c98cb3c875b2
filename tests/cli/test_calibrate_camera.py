"""``edgeseg calibrate-camera``: what it prints and writes, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.cli.main import run_verb
from edgeseg.embedding.camera.file import read_camera

from ..embedding.camera.chessboards import BROWN, images

WORDS = ("--board", "9x6", "--square", "25mm", "--out", "c.yaml")


def calibrate(*words: str) -> int:
    return run_verb("calibrate-camera", words, prog="edgeseg calibrate-camera")


@pytest.fixture(scope="module")
def boards() -> list[np.ndarray]:
    return images(BROWN)


@pytest.fixture
def folder(boards: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boards").mkdir()
    for index, board in enumerate(boards):
        cv2.imwrite(f"boards/b{index}.png", board)
    return tmp_path


def test_pictures_become_a_calibration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate("boards", *WORDS, "--sheet", "s.png", "--name", "front") == 0
    out = capsys.readouterr().out
    assert "frames       9, of which 9 show the whole board; 9 views used\n" in out
    assert "camera       640 x 480, brown, 6" in out
    assert "wrote s.png\nwrote c.yaml\n" in out
    camera = read_camera(Path("c.yaml"))
    assert (camera.size_hw, camera.model, len(camera.distortion)) == ((480, 640), "brown", 5)
    assert (camera.fx, camera.fy) == pytest.approx((BROWN.fx, BROWN.fy), rel=0.01)
    assert "camera_name: front\n" in Path("c.yaml").read_text()
    assert cv2.imread("s.png").shape[1] == 1280
    assert calibrate("boards", *WORDS) == 2
    assert "c.yaml" in capsys.readouterr().err  # it is there, and stays
    assert calibrate("boards/*.png", *WORDS, "--force") == 0


def test_a_film_of_a_board(
    boards: list[np.ndarray], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = cv2.VideoWriter("b.avi", cv2.VideoWriter.fourcc(*"MJPG"), 8, (640, 480))
    for board in boards:
        film.write(board)
        film.write(board)
    film.release()
    assert calibrate("b.avi", *WORDS) == 0
    assert "frames       9, of which 9 show the whole board" in capsys.readouterr().out  # four a second


def test_what_cannot_be_trusted_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3, 9):
        Path(f"boards/b{index}.png").unlink()
    assert calibrate("boards", *WORDS, "--sheet", "s.png") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "3 of 3 frames show the whole board, and 3 of them differ; expected at least 8" in err
    assert not Path("c.yaml").exists()
    assert not Path("s.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--board", "9"), "--board 9: expected inner corners such as 9x6"),
        (("--square", "25"), "--square 25: expected a length with its unit, such as 25mm, 2.5cm or 0.025m"),
        (("--out", "c.txt"), "--out c.txt: expected a name that ends with .yaml"),
        (("--sheet", "s.jpg"), "--sheet s.jpg: expected a name that ends with .png"),
        (("--most-error", "nan"), "--most-error nan: expected more than 0 and at most 100 pixels"),
        (("--name", "a b"), "--name 'a b': expected letters, digits, and the signs _ . -"),
    ],
)
def test_impossible_options_are_refused(
    words: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate("boards", *WORDS, *words) == 2
    assert message in capsys.readouterr().err
