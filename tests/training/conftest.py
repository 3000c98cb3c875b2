"""A training of seconds: a narrow U-Net on crops of 24 x 24."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.cli.main import main

NETWORK = (
    "--model",
    "unet",
    "--option",
    "width=4",
    "--option",
    "depth=2",
    "--device",
    "cpu",
    "--workers",
    "0",
)
RECIPE = (
    "--preset", "scratch", "--crop", "24x24", "--scale", "0.8,1.2", "--batch-size", "2", "--learning-rate", "0.01",
    "--sheet-every", "0",
)  # fmt: skip


@pytest.fixture(scope="session")
def train() -> Callable[..., int]:
    """Runs ``edgeseg train`` on a data set: ``train(data, out, "--epochs", "1")`` gives the exit status."""

    def run(data: Path, out: Path, *more: str) -> int:
        return main(["train", *NETWORK, *RECIPE, "--data", str(data), "--out", str(out), *more])

    return run


@pytest.fixture
def refusal(
    data: Path, tmp_path: Path, train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs ``edgeseg train`` with options that it refuses, and gives the one line of the error."""

    def run(*more: str) -> str:
        assert train(data, tmp_path / "run", "--epochs", "1", *more) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return run


@pytest.fixture(scope="session")
def _trained_once(
    small_set: Path, tmp_path_factory: pytest.TempPathFactory, train: Callable[..., int]
) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    assert train(small_set, out, "--epochs", "1") == 0
    return out


@pytest.fixture
def data(small_set: Path, tmp_path: Path) -> Path:
    """A data set of this test's own."""
    return Path(shutil.copytree(small_set, tmp_path / "set"))


@pytest.fixture
def trained(_trained_once: Path, tmp_path: Path) -> Path:
    """A copy of the output of a training of one epoch on ``data``, for this test alone."""
    return Path(shutil.copytree(_trained_once, tmp_path / "run"))
