"""``edgeseg run --mavlink``: from the frames of the aerial world to what an autopilot hears."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.cli.main import run_verb
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.bundle import Bundle

from ...embedding.mavlink.autopilot import Autopilot, Told, dialect, wait_for

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


@contextmanager
def ended_when(condition: Callable[[], object], what: str) -> Iterator[None]:
    """Ends the run within, as Ctrl-C does, once something is so."""
    failed: list[BaseException] = []
    has_ended = threading.Event()

    def end() -> None:
        try:
            wait_for(lambda: has_ended.is_set() or condition(), what)
        except BaseException as error:  # raised below, in the test's own thread
            failed.append(error)
        if not has_ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        yield
    finally:
        has_ended.set()
        ending.join()
    if failed:
        raise failed[0]


def test_a_run_tells_an_autopilot_where_to_land(run: Run, labels: LabelMap) -> None:
    land = ",".join(labels.names)
    with Autopilot() as pilot:
        with ended_when(lambda: len(pilot.of("LANDING_TARGET")) > 2, "targets"):
            run(
                "--source", "aerial:7?size=360x480", "--land", land, "--vehicle-radius", 0.3, "--stats", "s.json",
                "--landing-margin", 0, "--mavlink", f"udpout:127.0.0.1:{pilot.port}",
            )  # fmt: skip
        assert {(beat.get_srcSystem(), beat.get_srcComponent()) for beat in pilot.received} == {(1, 191)}
        assert 5 in {beat.system_status for beat in pilot.of("HEARTBEAT")}, "critical before the first spot"
        for target in pilot.of("LANDING_TARGET"):
            assert (target.frame, target.position_valid) == (12, 1)
            assert target.distance > 0


def test_the_pose_comes_from_the_autopilot_where_the_source_knows_none(run: Run, labels: LabelMap) -> None:
    rng = np.random.default_rng(1)
    film = cv2.VideoWriter("grey.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 240))
    for _ in range(25):
        film.write(rng.integers(118, 138, (240, 320, 3), np.uint8))
    film.release()

    def is_told() -> bool:
        active = any(beat.system_status == 4 for beat in pilot.of("HEARTBEAT"))
        return active and any("spot found" in text.text for text in pilot.of("STATUSTEXT"))

    with Autopilot(told=Told(position=(10.0, 20.0, -8.0), range_cm=850)) as pilot:
        with ended_when(is_told, "active, and a text"):
            run(
                "--source", "grey.avi?loop=1", "--land", "grey", "--camera", 60, "--vehicle-radius", 0.3,
                "--autopilot", "px4", "--mavlink", f"udpout:127.0.0.1:{pilot.port}", "--stats", "s.json",
            )  # fmt: skip
        target = pilot.of("LANDING_TARGET")[-1]
        # Level, above grey ground alone: the spot is near, and as deep as the range finder says.
        assert (target.x, target.y) == pytest.approx((10, 20), abs=4)
        assert target.z == pytest.approx(0.5, abs=0.01)


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
