"""The calibration file: what it holds for, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.quantize import quantize
from edgeseg.calibration.record import CalibrationRecord, Plan, refuse_overlap
from edgeseg.core.errors import DataError, OutputError

from .conftest import Weights, build

PLAN = Plan(
    method="minmax",
    excluded=("deep", "stem"),
    searched=True,
    budget=0.5,
    class_budget=1.0,
    int8_macs=0.75,
    shifts={"point": [0.125, -1e-7]},
    plain={"miou_lost": 1.5},
    chosen={"miou_lost": 0.25},
)


@pytest.fixture
def record(
    graph: Graph, images: CalibrationSet, ranges: Mapping[str, Mapping[str, tuple[float, float]]]
) -> CalibrationRecord:
    return replace(CalibrationRecord.of(graph, images, ranges), plans={"cpu": PLAN})


def test_what_is_read_is_what_was_written(record: CalibrationRecord, graph: Graph, tmp_path: Path) -> None:
    record.save(tmp_path / "calibration.json")
    again = CalibrationRecord.load(tmp_path / "calibration.json")
    assert again == record
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "calibration.json").read_bytes()
    one, other = (quantize(graph, r.ranges["minmax"], "cpu") for r in (record, again))
    assert one.SerializeToString() == other.SerializeToString()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.json", "calibration.json"]


def test_a_tensor_is_a_line(record: CalibrationRecord, tmp_path: Path) -> None:
    record.save(tmp_path / "calibration.json")
    low, high = record.ranges["minmax"]["sub"]
    assert f'"sub": [{json.dumps(low)}, {json.dumps(high)}],' in (tmp_path / "calibration.json").read_text()


def test_it_holds_where_nothing_differs(
    record: CalibrationRecord, graph: Graph, images: CalibrationSet
) -> None:
    assert record.differences(graph, images) == []
    assert record.differences(graph, None) == []
    assert record.held_back == 6
    assert len(record.picture_hashes) == 12


def test_each_difference_is_named(
    record: CalibrationRecord, graph: Graph, weights: Weights, make_images: Callable[..., CalibrationSet]
) -> None:
    wide = Graph(build(weights, (32, 64)))
    (text,) = record.differences(wide, None)
    assert text == "they are of another graph (other weights, input size or exporter)"
    (text,) = record.differences(graph, make_images(12, 20))
    assert text == "they are taken from other images (images by hand)"
    (text,) = replace(record, preprocessing="letterbox").differences(graph, None)
    assert text.startswith("frames were prepared otherwise ('letterbox', now 'stretch")
    everything = replace(record, preprocessing="letterbox").differences(wide, make_images(12, 20))
    assert len(everything) == 3


def edited(record: CalibrationRecord, **changes: object) -> str:
    return json.dumps({**record.as_json(), **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: "{", "is not JSON"),
        (lambda r: "[]", "is no calibration of schema 1"),
        (lambda r: edited(r, schema=2), "is no calibration of schema 1"),
        (lambda r: edited(r, ranges={"minmax": {"sub": [0, float("inf")]}}), "a range of 0.0 to inf"),
        (lambda r: edited(r, ranges={"minmax": {"sub": [float("nan"), 1]}}), "a range of nan to 1.0"),
        (lambda r: edited(r, ranges={"minmax": {"sub": [1, 2]}}), "a range of 1.0 to 2.0"),
        (lambda r: edited(r, ranges={"minmax": {"sub": [1]}}), "is malformed"),
        (lambda r: edited(r, ranges=[]), "is malformed"),
        (lambda r: edited(r, plans={"cpu": {"excluded": []}}), "is malformed"),
        (lambda r: edited(r, colour="red"), "is malformed .*'colour'"),
        (lambda r: json.dumps({"schema": 1}), "is malformed .*'ranges'"),
    ],
)  # fmt: skip
def test_a_malformed_file(
    record: CalibrationRecord, tmp_path: Path, change: Callable[[CalibrationRecord], str], message: str
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(change(record))
    with pytest.raises(DataError, match=message):
        CalibrationRecord.load(path)


def test_a_file_that_is_not_there_or_cannot_be_written(record: CalibrationRecord, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the calibration .*nothing.json: No such file"):
        CalibrationRecord.load(tmp_path / "nothing.json")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match=r"taken is a folder; give the output the name of a file"):
        record.save(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"], "nothing half written is left"


def test_frames_that_were_calibrated_on_are_named(record: CalibrationRecord, images: CalibrationSet) -> None:
    new = np.zeros((4, 4, 3), np.uint8)
    held_out = next(iter(images.read(images.held_out))).frame_bgr
    refuse_overlap(record.picture_hashes, [("new", new)])
    with pytest.raises(DataError, match=r"1 of the frames .* are calibration images \(renamed\)"):
        refuse_overlap(record.picture_hashes, [("new", new), ("renamed", held_out.copy())])
    every = ((f"frame-{i}", sample.frame_bgr) for i, sample in enumerate(images.read(range(5))))
    with pytest.raises(DataError, match=r"5 of the frames .* \(frame-0, frame-1, frame-2 …\)"):
        refuse_overlap(record.picture_hashes, every)
