"""``edgeseg run --land``: from the frames of the aerial world to the spot in the events; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.cli.main import run_verb
from edgeseg.runtime.bundle import Bundle

Run = Callable[..., int]
SOURCE = ("--source", "aerial:7?size=360x480", "--frames", 30)


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> int:
        words = ["--bundle", str(bundle_folder), *(str(arg) for arg in args)]
        return run_verb("run", words, prog="edgeseg run")

    return call


@pytest.fixture
def every_class(bundle_folder: Path) -> str:
    return ",".join(Bundle.load(bundle_folder).labels.names)


def test_each_result_has_its_spot_and_the_statistics_count_them(run: Run, every_class: str) -> None:
    small = ("--vehicle-radius", 0.3, "--landing-margin", 0)
    assert run(*SOURCE, "--land", every_class, *small, "--events", "e.jsonl", "--stats", "s.json") == 0
    events = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
    spots = [event["findings"]["landing"] for event in events if event["type"] == "result"]
    assert len(spots) == 30
    found = [spot for spot in spots if spot["valid"]]
    assert found
    for spot in found:
        assert spot["clearance_m"] >= spot["required_m"] > 0.6
        assert spot["frd_m"][2] > 0
    changes = [event for event in events if event["type"] == "change" and event["what"] == "finding"]
    assert changes[0]["finding"] == "landing"
    counts = json.loads(Path("s.json").read_text())["findings"]["landing"]
    assert counts["valid"] == len(found)
    assert sum(counts.values()) == 30


def test_a_hazard_table_decides_where_to_land(run: Run, every_class: str) -> None:
    Path("hazards.toml").write_text(f'[classes]\n"{every_class.split(",")[0]}" = "safe"\n')
    assert run(*SOURCE, "--land", "hazards.toml", "--stats", "s.json") == 0
    assert sum(json.loads(Path("s.json").read_text())["findings"]["landing"].values()) == 30


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--land", "lawn"), "'lawn' is not a class of the network; it knows"),
        (("--land", "gone.toml"), "gone.toml"),
        (("--land", "CLASS", "--camera", "gone.yaml"), "gone.yaml"),
    ],
)
def test_what_cannot_be_read_is_refused_and_leaves_nothing(
    run: Run, every_class: str, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    words = [every_class if word == "CLASS" else word for word in more]
    assert run(*SOURCE, *words, "--save", "film.mp4") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert message in line
    assert not Path("film.mp4").exists()


def test_a_source_that_knows_no_pose_is_refused(
    run: Run, every_class: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite("a.png", np.zeros((90, 120, 3), np.uint8))
    assert run("--source", "a.png", "--land", every_class, "--stats", "s.json") == 2
    assert (
        "--land needs the vehicle's attitude and height, and a.png does not give them"
        in capsys.readouterr().err
    )
