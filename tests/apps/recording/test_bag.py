"""A recording as a bag of ROS 2, read back by a library that did not write it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg.apps.recording.bag import write_bag
from edgeseg.apps.recording.reading import Recording
from edgeseg.apps.recording.sink import RecordingSink
from edgeseg.cli.main import main
from edgeseg.core.errors import DataError, MissingDependencyError, OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.sinks.base import Output

pytest.importorskip("rosbags")


@pytest.fixture
def recorded(tmp_path: Path, three_labels: LabelMap, make_output: Callable[..., Output]) -> Path:
    """Four frames: one dark, one with the stamp of a ROS topic, and one of another size."""
    sink = RecordingSink(tmp_path / "rec", three_labels, {"source": "camera"})
    sink.write(make_output(0))
    sink.write(make_output(1, reason="dark"))
    sink.write(make_output(2, name="lens@1700000000.000000009"))
    sink.write(make_output(3, size_hw=(24, 33)))
    sink.close(commit=True)
    return tmp_path / "rec"


def read(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """The messages of a bag by topic, with their times, by mcap's own reader."""
    reader = pytest.importorskip("mcap_ros2.reader")
    found: dict[str, list[tuple[int, Any]]] = {}
    for message in reader.read_ros2_messages(str(folder / f"{folder.name}.mcap")):
        found.setdefault(message.channel.topic, []).append((message.log_time_ns, message.ros_msg))
    return found


def pixels(message: Any) -> np.ndarray:
    channels = message.step // message.width
    return np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, channels)


def test_another_library_reads_back_each_pixel(recorded: Path, tmp_path: Path) -> None:
    frames = list(Recording(recorded).frames())
    assert write_bag(Recording(recorded), tmp_path / "bag", force=False) == 4
    found = read(tmp_path / "bag")
    images, masks = found["/edgeseg/image"], found["/edgeseg/mask"]
    assert [message.encoding for _, message in (images[0], masks[0])] == ["bgr8", "mono8"]
    for frame, (_, image), (_, mask) in zip(frames, images, masks, strict=True):
        np.testing.assert_array_equal(pixels(image), frame.frame_bgr)
        np.testing.assert_array_equal(pixels(mask)[:, :, 0], frame.classes)
        assert (image.header.stamp.sec, image.header.stamp.nanosec, image.header.frame_id) == (
            mask.header.stamp.sec,
            mask.header.stamp.nanosec,
            mask.header.frame_id,
        )


def test_the_labels_and_reasons_are_there(recorded: Path, tmp_path: Path) -> None:
    write_bag(Recording(recorded), tmp_path / "bag", force=False)
    found = read(tmp_path / "bag")
    ((_, labels),) = found["/edgeseg/labels"]
    assert [(each.class_id, each.class_name) for each in labels.class_map] == [
        (0, "dark"),
        (1, "grey"),
        (2, "bright"),
    ]
    told = [(m.status[0].level, m.status[0].message) for _, m in found["/diagnostics"]]
    assert told == [(0, "valid"), (2, "not valid: dark: the frame is black"), (0, "valid")]


def test_a_frame_has_the_time_of_its_capture_or_the_stamp_that_it_came_with(
    recorded: Path, tmp_path: Path
) -> None:
    now_ns = datetime.now(timezone.utc).timestamp() * 1e9
    write_bag(Recording(recorded), tmp_path / "bag", force=False)
    masks = read(tmp_path / "bag")["/edgeseg/mask"]
    stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for _, message in masks]
    times = [at_ns for at_ns, _ in masks]
    assert stamps[2] == 1_700_000_000_000_000_009
    assert [stamps[index] for index in (0, 1, 3)] == [times[index] for index in (0, 1, 3)]
    assert all(0 <= now_ns - at_ns < 300e9 for at_ns in times)
    assert times == sorted(times)
    frames = [message.header.frame_id for _, message in masks]
    assert frames == ["camera", "camera", "lens", "camera"]


def test_its_index_names_topics_and_types(recorded: Path, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    write_bag(Recording(recorded), tmp_path / "bag", force=False)
    index = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text("utf-8"))
    facts = index["rosbag2_bagfile_information"]
    topics = {
        each["topic_metadata"]["name"]: each["topic_metadata"]["type"]
        for each in facts["topics_with_message_count"]
    }
    assert topics == {
        "/edgeseg/image": "sensor_msgs/msg/Image",
        "/edgeseg/mask": "sensor_msgs/msg/Image",
        "/edgeseg/labels": "vision_msgs/msg/LabelInfo",
        "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    }
    assert (facts["storage_identifier"], facts["relative_file_paths"]) == ("mcap", ["bag.mcap"])


def test_the_command_writes_it_without_a_bundle(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = tmp_path / "bag"
    assert main(["replay", str(recorded), "--bag", str(bag)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote 4 frames to {bag}"
    assert main(["replay", str(recorded), "--bag", str(bag)]) == 2
    assert "bag exists; give --force to replace it" in capsys.readouterr().err
    assert main(["replay", str(recorded), "--bag", str(bag), "--force"]) == 0
    assert sorted(path.name for path in bag.iterdir()) == ["bag.mcap", "metadata.yaml"]
    assert main(["replay", str(recorded)]) == 2
    assert "the following arguments are required: --bundle" in capsys.readouterr().err
    assert main(["replay", str(recorded), "--bag", str(tmp_path / "b"), "--against", "x"]) == 2
    assert "--against goes with --bundle alone; give --bundle too, or leave it out" in capsys.readouterr().err


def test_nothing_half_written_stays(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(frames: int) -> None:
        if frames == 2:
            raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="the disk is full"):
        write_bag(Recording(recorded), tmp_path / "bag", False, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["rec"]
    monkeypatch.setattr(Recording, "frames", lambda self: iter([undated()]))
    with pytest.raises(DataError, match="take-0001 does not say when it was recorded"):
        write_bag(Recording(recorded), tmp_path / "bag", False)
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    with pytest.raises(
        MissingDependencyError, match=r'a bag of ROS 2 needs rosbags.*pip install "edgeseg\[bag\]"'
    ):
        write_bag(Recording(recorded), tmp_path / "bag", False)
    assert [path.name for path in tmp_path.iterdir()] == ["rec"]


def undated() -> Any:
    from edgeseg.apps.recording.reading import RecordedFrame

    void = np.zeros((2, 2), np.uint8)
    return RecordedFrame("take-0001", np.zeros((2, 2, 3), np.uint8), void, 0, 1.0, True, "", "", {}, None)
