"""The sink on a fake of ROS, whose clock stands still: what is published when, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.free_space.finding import Ahead, FreeSpace, Sectors, unknown_columns
from edgeseg.embedding.free_space.grid import GridFrame
from edgeseg.embedding.free_space.road_view import Bearings
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.ros2 import sink as module
from edgeseg.embedding.ros2.node import RosError
from edgeseg.embedding.ros2.sink import Ros2Sink, RosOptions
from edgeseg.runtime.findings import Finding
from edgeseg.runtime.sinks.base import Output, StopRequested
from edgeseg.runtime.status import Board, FindingStatus, Status

MakeSink = Callable[..., Ros2Sink]
MakeOutput = Callable[..., Output]
MakeStatus = Callable[..., Status]


@pytest.fixture
def make(fakes: ModuleType, labels: LabelMap, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSink]:
    """Makes a sink: ``make(RosOptions(…), qos="reliable")``."""
    opened: list[Ros2Sink] = []

    def make_sink(options: RosOptions | None = None, **parameters: Any) -> Ros2Sink:
        ros = fakes.fake_ros(**parameters)
        monkeypatch.setattr(module, "load_ros", lambda purpose: ros)
        monkeypatch.setattr(module, "now", lambda: 100.0)
        opened.append(Ros2Sink(options or RosOptions(source_name="camera 0"), labels))
        return opened[-1]

    yield make_sink
    for sink in opened:
        sink.close(commit=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets ``time.monotonic()`` of the sink's module."""
    return lambda seconds: monkeypatch.setattr(module.time, "monotonic", lambda: seconds)


def sent(sink: Ros2Sink, topic: str) -> list[Any]:
    return sink._node.publishers[topic].sent


CALM = Board()


def with_finding(output: Output, name: str, finding: Finding) -> Output:
    return replace(output, result=replace(output.result, findings={name: finding}))


def free_space() -> FreeSpace:
    """Three sectors and 2 x 3 cells, 1 m ahead."""
    sectors = Sectors(
        Bearings(-0.15, 0.1, 3),
        np.array([np.inf, 3.0, np.nan], np.float32),
        np.array([np.inf, 2.5, np.nan], np.float32),
        np.zeros(3, np.float32),
    )
    grid = np.array([[-1, 0, 100], [-1, 0, 0]], np.int8)
    return FreeSpace(
        True, "", 99.5, 0, 0.1, unknown_columns(4), sectors, grid, GridFrame(1.0, -0.5, 0.5, 2, 3), Ahead(), 4.0,
        1.0, (40, 60),
    )  # fmt: skip


def told(sink: Ros2Sink) -> list[str]:
    return [message.status[0].message for message in sent(sink, "/diagnostics")]


def test_a_mask_has_the_time_of_its_frame_by_the_clock_of_ros(
    make: MakeSink, make_output: MakeOutput
) -> None:
    sink = make()
    sink.write(make_output(3, at=99.75))  # the fake's clock is at 5 s, edgeseg's at 100
    (mask,) = sent(sink, "mask")
    assert (mask.header.stamp.sec, mask.header.stamp.nanosec) == (4, 750_000_000)
    assert (mask.header.frame_id, mask.encoding, mask.height, mask.width) == ("camera", "mono8", 40, 60)
    assert sink.name == "ros2 /edgeseg/segmentation"
    assert sink.kept_as == ""


def test_a_mask_of_a_ros_topic_has_exactly_the_stamp_and_frame_of_its_image(
    make: MakeSink, make_output: MakeOutput
) -> None:
    sink = make(frame_id="fallback")
    sink.write(replace(make_output(0, at=99.0), name="front@17.000000009"))
    sink.write(replace(make_output(1, at=99.0), name="@18.000000009"))
    heads = [(m.header.frame_id, m.header.stamp.sec, m.header.stamp.nanosec) for m in sent(sink, "mask")]
    assert heads == [("front", 17, 9), ("fallback", 18, 9)]


def test_a_result_that_is_not_valid_is_a_void_mask_and_a_diagnostic(
    make: MakeSink, make_output: MakeOutput
) -> None:
    sink = make()
    sink.write(make_output(0, at=99.9))
    sink.write(make_output(1, reason="dark", at=99.9))
    valid, dark = sent(sink, "mask")
    assert set(valid.data) == {0, 1}
    assert set(dark.data) == {255}
    assert told(sink) == ["valid", "not valid: dark: the frame is black"]
    levels = [message.status[0].level for message in sent(sink, "/diagnostics")]
    assert levels == [b"\x00", b"\x02"]


def test_a_beat_is_void_and_of_now(make: MakeSink, make_output: MakeOutput) -> None:
    sink = make()
    sink.write(make_output(0, at=99.9))
    sink.write(make_output(0, reason="source-lost", beat=True, at=90.0))
    beat = sent(sink, "mask")[-1]
    assert (beat.header.stamp.sec, beat.header.stamp.nanosec) == (5, 0)
    assert set(beat.data) == {255}
    assert told(sink)[-1] == "not valid: source-lost: the source is not there; it is being opened again"


def test_the_end_is_told_before_the_topics_fall_silent(make: MakeSink, make_output: MakeOutput) -> None:
    sink = make()
    sink.write(make_output(0, at=99.9))
    masks, diagnostics = sent(sink, "mask"), sent(sink, "/diagnostics")
    publishers = list(sink._node.publishers.values())
    sink.close(commit=True)
    assert all(publisher.waited_for == len(publisher.sent) for publisher in publishers)
    assert set(masks[-1].data) == {255}
    assert diagnostics[-1].status[0].message == "not valid: ended: the run has ended"
    with pytest.raises(StopRequested):
        sink.write(make_output(1, at=99.9))


def test_an_overlay_is_drawn_only_while_somebody_reads_it(make: MakeSink, make_output: MakeOutput) -> None:
    sink, drawn = make(), []
    output = make_output(0, at=99.9)
    output.draw = lambda: drawn.append(1) or np.full((40, 60, 3), 9, np.uint8)
    sink.write(output)
    assert not drawn
    sink._node.publishers["overlay"].readers = 1
    sink.write(output)
    (overlay,) = sent(sink, "overlay")
    assert (overlay.encoding, overlay.step, set(overlay.data)) == ("bgr8", 180, {9})
    assert drawn == [1]


def test_a_smoothed_mask_leaves_the_networks_own_to_those_who_read_it(
    make: MakeSink, make_output: MakeOutput
) -> None:
    sink, output = make(), make_output(0, at=99.9)
    sink.write(output)
    assert "raw_mask" not in sink._node.publishers
    own = np.full((40, 60), 2, np.uint8)
    output = replace(output, result=replace(output.result, raw_classes=own))
    sink.write(output)
    assert sent(sink, "raw_mask") == []
    sink._node.publishers["raw_mask"].readers = 1
    sink.write(output)
    sink.write(make_output(1, reason="dark", at=99.9))
    assert [set(message.data) for message in sent(sink, "raw_mask")] == [{2}, {255}]


def test_labels_are_latched_and_results_are_sensor_data(make: MakeSink, make_output: MakeOutput) -> None:
    profiles = {topic: p.profile for topic, p in make()._node.publishers.items()}
    assert profiles["labels"]["durability"] == "transient local"
    assert profiles["labels"]["reliability"] == "reliable"
    assert (profiles["mask"]["reliability"], profiles["mask"]["depth"]) == ("best effort", 5)
    assert profiles["/diagnostics"]["reliability"] == "reliable"
    assert make(qos="reliable")._node.publishers["mask"].profile["reliability"] == "reliable"


def test_a_calibration_is_published_with_the_stamp_of_the_mask(
    make: MakeSink, make_output: MakeOutput
) -> None:
    camera = CameraModel((80, 120), 100.0, 100.0, 59.5, 39.5)
    sink = make(RosOptions(camera_for=camera.scaled))
    sink.write(make_output(0, at=99.5))
    (info,), (mask,) = sent(sink, "camera_info"), sent(sink, "mask")
    assert info.header is mask.header
    assert (info.height, info.width, info.k[0]) == (40, 60, 50.0)


def test_a_calibration_that_does_not_fit_is_said_once_and_not_published(
    make: MakeSink, make_output: MakeOutput, caplog: pytest.LogCaptureFixture
) -> None:
    camera = CameraModel((60, 60), 100.0, 100.0, 29.5, 29.5)
    sink = make(RosOptions(camera_for=camera.scaled))
    for number in range(3):
        sink.write(make_output(number, at=99.5))
    assert sent(sink, "camera_info") == []
    lines = [record.getMessage() for record in caplog.records if "camera_info" in record.getMessage()]
    assert len(lines) == 1
    assert (
        "publishes no camera_info: the camera was calibrated at 60 x 60 and gives frames of 60 x 40"
        in lines[0]
    )


def test_diagnostics_come_on_change_and_every_second(
    make: MakeSink, make_output: MakeOutput, make_status: MakeStatus, clock: Callable[[float], None]
) -> None:
    clock(10.0)
    sink = make()
    sink.announce(make_status(board=CALM))
    assert told(sink) == ["valid"]
    clock(10.9)
    sink.announce(make_status(board=CALM, fps=13.0))
    assert told(sink) == ["valid"]
    sink.announce(make_status(valid=False, reason="stale", connected=False, problem="unplugged"))
    assert told(sink)[1:] == ["not valid: stale: the newest frame is older than --max-age allows (unplugged)"]
    clock(11.85)
    sink.announce(make_status(valid=False, reason="stale", connected=False, problem="unplugged"))
    assert len(told(sink)) == 2
    clock(11.95)
    sink.announce(make_status(valid=False, reason="stale", connected=False, problem="unplugged"))
    assert len(told(sink)) == 3


def test_a_status_that_is_older_than_the_newest_result_does_not_judge_it(
    make: MakeSink, make_output: MakeOutput, make_status: MakeStatus
) -> None:
    sink = make()
    sink.write(make_output(9, reason="dark", at=99.9))
    sink.announce(make_status())  # of frame 7, valid
    assert "not valid: dark" in told(sink)[-1]


def test_the_facts_of_the_diagnostics(make: MakeSink, make_status: MakeStatus) -> None:
    sink = make()
    sink.announce(make_status(degraded="int8 runs"))
    status = sent(sink, "/diagnostics")[-1].status[0]
    values = {pair.key: pair.value for pair in status.values}
    assert (status.name, status.hardware_id) == ("/edgeseg/segmentation: camera 0", "camera 0")
    assert (status.level, status.message) == (b"\x01", "valid; int8 runs; cpu at 1.2 of 2.0 GHz")
    assert values["age_s"] == "0.05"
    assert (values["fps"], values["frame_id"], values["latency_p90_ms"]) == ("12.5", "7", "25.0")
    assert (values["not_valid_dark"], values["variant"], values["backend"]) == (
        "1",
        "fp32",
        "onnxruntime cpu",
    )


def test_a_run_that_has_no_result_yet_is_starting(make: MakeSink, make_status: MakeStatus) -> None:
    sink = make()
    sink.announce(make_status(state="starting", frame_id=None, valid=False, reason=""))
    assert told(sink) == ["starting"]
    sink.announce(make_status(state="running", frame_id=None, valid=False, reason="source-lost"))
    assert told(sink)[-1].startswith("not valid: source-lost")


def test_another_sources_status_is_not_its_own(make: MakeSink, make_status: MakeStatus) -> None:
    sink = make(RosOptions(source=2))
    sink.announce(make_status(number=1))
    assert told(sink) == []


class TestFindings:
    """With the stamp of their frame; what does not hold is not told, or told as unknown."""

    def test_a_landing_spot_is_a_pose_while_it_is_valid(
        self, make: MakeSink, make_output: MakeOutput
    ) -> None:
        sink = make(base_frame="hull")
        spot = LandingSpot(True, "", 99.5, frd_m=(3.0, 2.0, 10.0))
        sink.write(with_finding(make_output(0, at=99.5), "landing", spot))
        sink.write(with_finding(make_output(1, at=99.6), "landing", spot.invalidated("unstable")))
        (pose,) = sent(sink, "landing_pose")
        header, position = pose.header, pose.pose.position
        assert (header.frame_id, header.stamp.sec, header.stamp.nanosec) == ("hull", 4, 500_000_000)
        assert (position.x, position.y, position.z) == (3.0, -2.0, -10.0)

    def test_free_space_is_a_grid_and_a_scan_and_unknown_when_it_is_not_valid(
        self, make: MakeSink, make_output: MakeOutput
    ) -> None:
        sink = make(scan_frame="below_camera")
        space = free_space()
        sink.write(with_finding(make_output(0, at=99.5), "free_space", space))
        sink.write(
            with_finding(make_output(1, reason="dark", at=99.6), "free_space", space.invalidated("dark"))
        )
        grids, scans = sent(sink, "free_space/grid"), sent(sink, "free_space/scan")
        assert [list(grid.data) for grid in grids] == [[-1, 0, 100, -1, 0, 0], [-1] * 6]
        info = grids[0].info
        assert (info.width, info.height, info.resolution) == (3, 2, 0.5)
        assert (info.origin.position.x, info.origin.position.y) == (1.0, -0.5)
        assert (grids[0].header.frame_id, scans[0].header.frame_id) == ("base_link", "below_camera")
        assert scans[0].header.stamp.nanosec == 500_000_000
        assert scans[0].angle_min == pytest.approx(-0.1)
        assert scans[0].angle_max == pytest.approx(0.1)
        np.testing.assert_array_equal(scans[0].ranges, np.array([np.inf, 2.5, np.nan], np.float32))
        assert (scans[0].range_max, np.isnan(scans[1].ranges).all()) == (4.0, True)

    def test_the_end_withdraws_free_space(self, make: MakeSink, make_output: MakeOutput) -> None:
        sink = make()
        sink.write(with_finding(make_output(0, at=99.5), "free_space", free_space()))
        grids = sent(sink, "free_space/grid")
        sink.close(commit=True)
        assert set(grids[-1].data) == {-1}

    def test_they_are_in_the_diagnostics(self, make: MakeSink, make_status: MakeStatus) -> None:
        sink = make()
        spot = FindingStatus(False, "too-high", "no landing spot", {}, {"too-high": 3}, "slope")
        sink.announce(make_status(findings={"landing": spot}))
        values = {pair.key: pair.value for pair in sent(sink, "/diagnostics")[-1].status[0].values}
        assert (values["landing_valid"], values["landing_reason"]) == ("False", "too-high")
        assert values["landing_blind_to"] == "slope"


class TestLifecycle:
    def test_it_waits_to_be_activated_if_told_so(self, make: MakeSink, make_output: MakeOutput) -> None:
        sink = make(auto_activate=False)
        assert sink.idle
        sink.write(make_output(0, at=99.9))
        assert sink._node.publishers == {}
        assert sink._node.on_configure(None) == "success"
        assert sink._node.on_activate(None) == "success"
        assert not sink.idle
        sink.write(make_output(1, at=99.9))
        assert len(sent(sink, "mask")) == len(sent(sink, "labels")) == 1

    def test_a_node_that_is_deactivated_says_so_and_is_silent(
        self, make: MakeSink, make_output: MakeOutput, make_status: MakeStatus
    ) -> None:
        sink = make()
        sink.write(make_output(0, at=99.9))
        assert sink._node.on_deactivate(None) == "success"
        assert set(sent(sink, "mask")[-1].data) == {255}
        assert told(sink)[-1] == "not valid: inactive: the node was deactivated"
        sink.write(make_output(1, at=99.9))
        sink.announce(make_status())
        assert len(sent(sink, "mask")) == 2
        assert len(told(sink)) == 2
        assert sink._node.on_activate(None) == "success"
        sink.write(make_output(2, at=99.9))
        assert told(sink)[-1].startswith("valid")

    def test_cleaning_up_removes_the_topics_and_configuring_reads_the_parameters_again(
        self, make: MakeSink, make_output: MakeOutput
    ) -> None:
        sink = make()
        node = sink._node
        node.on_deactivate(None)
        assert node.on_cleanup(None) == "success"
        assert node.publishers == {}
        assert sorted(node.removed) == ["/diagnostics", "labels", "mask", "overlay"]
        node.values["frame_id"] = "another"
        node.on_configure(None)
        node.on_activate(None)
        sink.write(make_output(0, at=99.9))
        assert sent(sink, "mask")[0].header.frame_id == "another"

    def test_a_node_that_is_shut_down_ends_the_run(
        self, make: MakeSink, make_output: MakeOutput, make_status: MakeStatus
    ) -> None:
        sink = make()
        sink.write(make_output(0, at=99.9))
        assert sink._node.on_shutdown(None) == "success"
        assert set(sent(sink, "mask")[-1].data) == {255}
        with pytest.raises(StopRequested):
            sink.write(make_output(1, at=99.9))
        with pytest.raises(StopRequested):
            sink.announce(make_status())

    def test_a_step_that_fails_is_logged_and_told_to_ros(
        self, make: MakeSink, caplog: pytest.LogCaptureFixture
    ) -> None:
        sink = make(auto_activate=False)
        sink._node.values["qos"] = "perfect"
        assert sink._node.on_configure(None) == "failure"
        assert (
            "the ROS node does not configure: the parameter qos of the ROS node is 'perfect'" in caplog.text
        )


class TestFailures:
    def test_a_parameter_that_cannot_be_is_an_error_at_the_start(self, make: MakeSink) -> None:
        with pytest.raises(
            RosError,
            match=r"^the parameter qos of the ROS node is 'perfect'; expected sensor_data or reliable$",
        ):
            make(qos="perfect")
        with pytest.raises(
            RosError, match="the parameter base_frame of the ROS node is empty; expected a name"
        ):
            make(base_frame="")

    def test_a_later_change_is_judged(self, make: MakeSink, fakes: ModuleType) -> None:
        judge = make()._node.judge
        good, bad = (fakes.SimpleNamespace(name="qos", value=value) for value in ("reliable", "perfect"))
        assert judge([good]).successful
        assert not judge([good, bad]).successful
        assert (
            judge([bad]).reason
            == "the parameter qos of the ROS node is 'perfect'; expected sensor_data or reliable"
        )

    def test_arguments_that_ros_refuses_are_one_line(self, make: MakeSink) -> None:
        with pytest.raises(RosError) as caught:
            make(RosOptions(ros_args=("refused",)))
        assert str(caught.value) == "ROS 2 refuses: Failed to parse global arguments: 'refused'"

    def test_ros_never_reads_the_arguments_of_the_process(self, make: MakeSink) -> None:
        assert make()._thread._context.args == []
        assert make(RosOptions(ros_args=("-r", "a:=b")))._thread._context.args == ["--ros-args", "-r", "a:=b"]

    def test_an_error_of_ros_is_an_error_of_the_output(self, make: MakeSink, make_output: MakeOutput) -> None:
        sink = make()

        def refuse(message: object) -> None:
            raise RuntimeError("Failed to publish: publisher's context is invalid, at /src/x.c:389")

        sink._node.publishers["mask"].publish = refuse
        with pytest.raises(
            OutputError,
            match=r"^ros2 /edgeseg/segmentation: Failed to publish: publisher's context is invalid$",
        ):
            sink.write(make_output(0, at=99.9))

    def test_a_node_whose_thread_ended_is_a_failed_output(
        self, make: MakeSink, make_output: MakeOutput, make_status: MakeStatus
    ) -> None:
        sink = make()
        executor = sink._node.executor
        executor.failure = ValueError("a callback failed")
        executor.ended.set()
        sink._thread._thread.join()
        with pytest.raises(OutputError, match="has ended: a callback failed"):
            sink.write(make_output(0, at=99.9))
        with pytest.raises(OutputError, match="has ended: a callback failed"):
            sink.announce(make_status())
