"""A bench for faults, with a tiny bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.bundles import brightness_graph, write_bundle
from .bench import Bench
from .live_run import Pace


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that labels pixels dark, grey or bright, in a fraction of a millisecond."""
    folder: Path = tmp_path_factory.mktemp("bundle") / "tiny"
    write_bundle(folder, brightness_graph())
    return folder


@pytest.fixture
def bench(tiny_bundle: Path, tmp_path: Path) -> Bench:
    # Where all tests run at once, each bound is that of the page and what a busy machine may add.
    return Bench(tiny_bundle, tmp_path, Pace(max_age_s=0.8, timeout_s=3.0, slack_s=5.0))
