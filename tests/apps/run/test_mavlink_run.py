"""``edgeseg run --mavlink``: from the frames of the aerial world to what an autopilot hears."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edgeseg.cli.main import run_verb
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.bundle import Bundle

from ...embedding.mavlink.autopilot import Autopilot, dialect, wait_for

Run = Callable[..., int]


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> int:
        words = ["--bundle", str(bundle_folder), *(str(arg) for arg in args)]
        return run_verb("run", words, prog="edgeseg run")

    return call


@pytest.fixture
def labels(bundle_folder: Path) -> LabelMap:
    dialect()
    return Bundle.load(bundle_folder).labels


def test_a_run_tells_an_autopilot_where_to_land(run: Run, labels: LabelMap) -> None:
    land = ",".join(labels.names)
    with Autopilot() as pilot:
        status = run(
            "--source", "aerial:7?size=360x480", "--frames", 120, "--land", land, "--vehicle-radius", 0.3,
            "--landing-margin", 0, "--mavlink", f"udpout:127.0.0.1:{pilot.port}",
        )  # fmt: skip
        assert status == 0
        wait_for(lambda: pilot.of("HEARTBEAT"))
        assert {(beat.get_srcSystem(), beat.get_srcComponent()) for beat in pilot.received} == {(1, 191)}
        wait_for(lambda: pilot.of("LANDING_TARGET"))
        for target in pilot.of("LANDING_TARGET"):
            assert (target.frame, target.position_valid) == (12, 1)
            assert target.distance > 0


def test_several_sources_have_no_one_vehicle(
    run: Run, labels: LabelMap, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--source", "aerial:1", "--source", "aerial:2", "--mavlink", "udpout:127.0.0.1:9") == 2
    assert "--mavlink goes with one --source alone, and there are 2" in capsys.readouterr().err


def test_without_pymavlink_one_line_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pymavlink.dialects.v20.common", None)
    assert run("--source", "aerial:1", "--mavlink", "udpout:127.0.0.1:9") == 2
    message = '--mavlink needs pymavlink, which is not installed: pip install "edgeseg[mavlink]"'
    assert re.search(rf"{re.escape(message)}$", capsys.readouterr().err.strip())
