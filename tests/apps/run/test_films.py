"""Runs over films that are damaged, of a varying rate, or of odd names: all that is written agrees with the film."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeseg.cli.main import run_verb

Run = Callable[..., int]


@pytest.fixture
def run(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> int:
        return run_verb(
            "run", ["--bundle", str(bundle_folder), *(str(arg) for arg in args)], prog="edgeseg run"
        )

    return call


def test_a_hole_is_said_and_counted_and_everything_keeps_the_films_numbers(
    run: Run, films: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    films.damage_stream(films.write_film(tmp_path / "f.ts", "mp4v", 60))
    capfd.readouterr()
    outputs = ("--save", "o.mp4", "--masks", "m", "--stats", "s.json", "--events", "e.jsonl")
    assert run("--source", "f.ts", *outputs) == 0
    out, err = capfd.readouterr()
    assert "48, 0 dropped, 0 not valid, 12 missing from the film\n" in out
    assert err == "f.ts lacks 12 frames before frame 36, at 1.44 s\n"
    stats = json.loads(Path("s.json").read_text())
    assert (stats["frames"], stats["captured"], stats["missing"]) == (48, 48, 12)
    there = [*range(24), *range(36, 60)]
    assert sorted(path.stem for path in Path("m").glob("*.png")) == [f"{number:06d}" for number in there]
    events = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
    results = [event for event in events if event["type"] == "result"]
    assert [event["frame_id"] for event in results] == there
    assert [event["time_s"] for event in results] == pytest.approx([number / 25 for number in there])
    changes = [
        (event["from"], event["to"], event["detail"]) for event in events if event.get("what") == "validity"
    ]
    assert changes == [
        ("unknown", "valid", ""),
        ("valid", "invalid", "frames-missing"),
        ("invalid", "valid", ""),
    ]
    # One image fills the hole, struck through, and lasts as long.
    times_s = films.times_of(Path("o.mp4"))
    assert times_s == pytest.approx([number / 25 for number in sorted([*there, 24])], abs=1e-3)
    assert films.seconds_of(Path("o.mp4")) == pytest.approx(2.4, abs=2e-3)


def test_a_film_of_a_varying_rate_is_saved_with_its_times(run: Run, films: Any, tmp_path: Path) -> None:
    times_s = [i / 30 for i in range(30)] + [1 + 4 * i / 30 for i in range(8)]
    films.write_timed(tmp_path / "v.mp4", "mpeg4", times_s)
    assert run("--source", "v.mp4", "--save", "o.mp4", "--stats", "s.json") == 0
    assert films.times_of(Path("o.mp4")) == pytest.approx(times_s, abs=1e-3)
    assert json.loads(Path("s.json").read_text())["missing"] == 0


@pytest.mark.parametrize("stem", ["cam-2026-11-28T12:30:00", os.fsdecode(b"caf\xe9"), 'a "quote"'])
def test_every_output_takes_any_name(run: Run, films: Any, tmp_path: Path, stem: str) -> None:
    films.write_film(tmp_path / "f.mp4", "mp4v", 5).rename(f"{stem}.mp4")
    outputs = {
        "save": "-o.mp4",
        "masks": "-m",
        "stats": ".json",
        "events": ".jsonl",
        "record": "-r",
        "trace": "-t.json",
    }
    given = [text for option, end in outputs.items() for text in (f"--{option}", f"{stem}{end}")]
    assert run("--source", f"{stem}.mp4", *given) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {f"{stem}{end}" for end in outputs.values()}
    assert len(list(Path(f"{stem}-m").glob("*.png"))) == 5
    assert len(films.times_of(Path(f"{stem}-o.mp4").rename("plain.mp4"))) == 5
    json.loads(Path(f"{stem}-t.json").read_text())
