from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from edgeseg.apps.run.outputs import (
    check_all,
    check_apart,
    name_of,
    open_masks,
    open_others,
    open_ros2,
    open_sinks,
    open_video,
)
from edgeseg.apps.run.request import CameraRequest, RunRequest, SinkOptions, VehicleRequest
from edgeseg.core.errors import OutputError, UsageError
from edgeseg.core.labels import LabelMap
from edgeseg.core.reads import Reads
from edgeseg.core.source import Source
from edgeseg.embedding.ros2.sink import RosOptions
from edgeseg.runtime.sinks import window
from edgeseg.runtime.sinks.mask_arrays import MaskArraysSink
from edgeseg.runtime.sinks.masks import LiveMasksSink, MasksSink
from edgeseg.runtime.sinks.video import SegmentedVideoSink, VideoSink
from edgeseg.runtime.sources.files import add_sources


class Still(Source):
    def __init__(self, name: str) -> None:
        self.name = name

    def read(self) -> np.ndarray | None:
        return None

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("path", "number", "sources", "expected"),
    [
        ("o.mp4", 1, 1, "o.mp4"),
        ("a/o.mp4", 2, 3, "a/o-2.mp4"),
        ("masks", 1, 2, "masks-1"),
        ("{source}/o.mp4", 2, 2, "2/o.mp4"),
        ("o{source}.mp4", 1, 1, "o1.mp4"),
    ],
)
def test_names(path: str, number: int, sources: int, expected: str) -> None:
    assert name_of(Path(path), number, sources) == Path(expected)


def test_no_two_outputs_have_one_name() -> None:
    check_apart({"--save": Path("o.mp4"), "--masks": Path("m"), "--stats": None}, 3)
    check_apart({"--save": Path("o.mp4"), "--stats": Path("o-1.mp4")}, 1)
    with pytest.raises(UsageError, match=r"^--save and --stats would both write o-2\.mp4; give each"):
        check_apart({"--save": Path("o.mp4"), "--stats": Path("o-2.mp4")}, 2)
    with pytest.raises(UsageError, match=r"^--save and --events would both write f\.mp4"):
        check_apart({"--save": Path("f.mp4"), "--events": [Path("e.jsonl"), Path("f.mp4")]}, 1)
    with pytest.raises(UsageError, match=r"^--stats and --trace would both write"):
        check_apart({"--stats": Path("x/../t.json"), "--trace": Path("t.json")}, 1)


def no_head(source: str) -> dict[str, object]:
    return {}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_source_has_a_window_of_its_own(labels: LabelMap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "why_no_window", lambda: "")
    several = open_sinks(RunRequest(show=True), [Still("a"), Still("b")], labels, no_head, print)
    assert [[sink.name for sink in sinks] for sinks in several] == [["window 1: a"], ["window 2: b"]]
    alone = open_sinks(RunRequest(), [Still("a")], labels, no_head, print)
    assert [sink.name for sink in alone[0]] == ["window"]


def test_without_a_display_it_saves_under_free_names(
    labels: LabelMap, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(window, "why_no_window", lambda: "the screen is gone")
    (tmp_path / "edgeseg-overlay-2.mp4").touch()
    told: list[str] = []
    sinks = open_sinks(RunRequest(), [Still("a"), Still("b")], labels, no_head, told.append)
    names = ["edgeseg-overlay-2-1.mp4", "edgeseg-overlay-2-2.mp4"]
    assert [sink.name for each in sinks for sink in each] == [f"video {name}" for name in names]
    assert told == [f"not showing: the screen is gone; saving to {', '.join(names)} instead"]
    open_sinks(RunRequest(show=True, masks=Path("m")), [Still("a")], labels, no_head, told.append)
    assert told[-1] == "not showing: the screen is gone; saving to edgeseg-overlay.mp4 instead"


@pytest.mark.parametrize(
    ("option", "path", "source"),
    [
        ("--save", "film.mp4", "film.mp4"),
        ("--save", "film.mp4", "x/../film-2.mp4"),
        ("--out", "ortho.tif", "ortho.tif"),
        ("--masks", "shots", "shots"),
        ("--masks", "shots", "shots/day/a.jpg"),
        ("--masks", "shots", "shots/*.jpg"),
    ],
)
def test_no_output_replaces_what_is_read(option: str, path: str, source: str) -> None:
    sources = ["other.mp4", source] if "film-2" in source else [source]
    with pytest.raises(OutputError, match=f"{option}: .* would replace the source"):
        check_all({option: Path(path)}, len(sources), add_sources(Reads(), sources))


def test_a_live_source_has_the_sinks_that_survive(tmp_path: Path, labels: LabelMap) -> None:
    plain, split = SinkOptions(), SinkOptions(segment_seconds=5.0, masks_format="npz")
    for live, kind in ((False, MasksSink), (True, LiveMasksSink)):
        assert type(open_masks(plain, tmp_path / f"m{live}", labels, live, False)) is kind
        assert type(open_masks(split, tmp_path / f"a{live}", labels, live, False)) is MaskArraysSink
        video = open_video(plain, tmp_path / f"v{live}.mp4", 25, live, False)
        segments = open_video(split, tmp_path / f"s{live}.mp4", 25, live, False)
        assert (type(video), type(segments)) == (VideoSink, SegmentedVideoSink)
        assert (video.beats, segments.beats) == (True, True)


def test_the_others_bear_their_sources_name(tmp_path: Path, labels: LabelMap) -> None:
    options = SinkOptions(events=(str(tmp_path / "e"),), shm="edgeseg-test-options", record=tmp_path / "r")
    sinks = open_others(options, labels, {}, 2, lambda path: path.with_name(f"{path.name}-2"))
    names = [sink.name for sink in sinks]
    for sink in sinks:
        sink.close(commit=True)
    assert names == [
        f"events {tmp_path / 'e'}", "shared memory edgeseg-test-options-2", f"recording {tmp_path / 'r-2'}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("namespace", "sources", "named", "number"),
    [
        ("edgeseg", 1, "edgeseg", 0),
        ("edgeseg", 3, "edgeseg_2", 2),
        ("drone/eye{source}", 3, "drone/eye2", 2),
        ("drone/eye{source}", 1, "drone/eye2", 0),
    ],
)
def test_each_source_has_a_node_of_its_own(
    labels: LabelMap,
    monkeypatch: pytest.MonkeyPatch,
    namespace: str,
    sources: int,
    named: str,
    number: int,
) -> None:
    asked: list[RosOptions] = []
    monkeypatch.setattr("edgeseg.embedding.ros2.sink.Ros2Sink", lambda options, labels: asked.append(options))
    vehicle = VehicleRequest(CameraRequest(horizontal_degrees=60.0, offset_frd_m=(0.5, 0.0, 0.0)))
    for its in (None, vehicle):
        request = RunRequest(sinks=SinkOptions(ros2=namespace, ros_args=("-r", "a:=b")), vehicle=its)
        open_ros2(request, Still("dull"), labels, 2, sources)
    plain, seeing = asked
    assert (plain.namespace, plain.source, plain.source_name) == (named, number, "dull")
    assert (plain.ros_args, plain.camera_for, plain.parameters.scan_frame) == (
        ("-r", "a:=b"),
        None,
        "base_link",
    )
    assert seeing.camera_for is not None
    assert seeing.camera_for((480, 640)).fx == pytest.approx(320 * 3**0.5)
    assert seeing.parameters.scan_frame == "camera_ground"


def test_what_was_opened_is_closed_where_the_next_fails(tmp_path: Path, labels: LabelMap) -> None:
    (tmp_path / "file").touch()
    options = SinkOptions(shm="edgeseg-test-fails", record=tmp_path / "file")
    with pytest.raises(OutputError, match="is a file; give the output the name of a folder"):
        open_others(options, labels, {})
    assert not Path("/dev/shm/edgeseg-test-fails").exists()


def test_a_series_that_removes_its_oldest_removes_no_source(tmp_path: Path) -> None:
    film = tmp_path / "o-000001.mp4"
    film.touch()
    save, reads = {"--save": tmp_path / "o.mp4"}, add_sources(Reads(), [str(film)])
    check_all(save, 1, reads)
    with pytest.raises(OutputError, match=r"--save: .*o-000001\.mp4 would replace the source"):
        check_all(save, 1, reads, segmented=True)


def test_events_may_go_to_a_pipe_and_statistics_may_not(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_all({"--events": [tmp_path / "pipe"]}, 1, Reads())
    for option in ("--save", "--masks", "--stats", "--trace", "--out", "--record"):
        with pytest.raises(OutputError, match=rf"^{option}: .*pipe is a named pipe"):
            check_all({option: tmp_path / "pipe"}, 1, Reads())
