"""A bench for faults, with a tiny bundle."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .bench import Bench
from .flight import Pace

BUNDLES = Path(__file__).resolve().parents[1] / "support" / "bundles.py"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that labels pixels dark, grey or bright, in a fraction of a millisecond."""
    spec = importlib.util.spec_from_file_location("bundles", BUNDLES)
    assert spec is not None
    assert spec.loader is not None
    bundles = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bundles)
    folder: Path = tmp_path_factory.mktemp("bundle") / "tiny"
    bundles.write_bundle(folder, bundles.brightness_graph())
    return folder


@pytest.fixture
def bench(tiny_bundle: Path, tmp_path: Path) -> Bench:
    # Where all tests run at once, each bound is that of the page and what a busy machine may add.
    return Bench(tiny_bundle, tmp_path, Pace(max_age_s=0.8, slack_s=5.0))
