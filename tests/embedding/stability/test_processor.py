"""Smoothing as a post-processor: the raw class map stays, and each result says whether it is smoothed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.camera.optics import Optics
from edgeseg.embedding.pose import PoseHistory
from edgeseg.embedding.stability.options import StabiliserOptions
from edgeseg.embedding.stability.processor import STABILISE, Smoothing, StabiliseProcessor
from edgeseg.runtime.findings import MASK_INVALID
from edgeseg.runtime.result import Segmentation

from ..conftest import GRASS, LABELS, ROAD, SIZE_HW, MakePose

FRAME = np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), np.uint8)
BY_POSE = StabiliserOptions(method="pose")


def result_of(at: float, block: int = GRASS) -> Segmentation:
    classes = np.full(SIZE_HW, GRASS, np.uint8)
    classes[40:80, 40:80] = block
    return Segmentation(classes, captured_at=at)


def smoothing_of(result: Segmentation) -> Smoothing:
    finding = result.findings[STABILISE]
    assert isinstance(finding, Smoothing)
    return finding


def test_the_result_has_both_class_maps_and_says_so() -> None:
    processor = StabiliseProcessor(LABELS)
    for number in range(3):
        result = processor.process(FRAME, result_of(0.1 * number))
    noisy = result_of(0.3, ROAD)
    result = processor.process(FRAME, noisy)
    assert result.raw_classes is noisy.classes
    assert (result.classes == GRASS).all()
    assert (result.frame_id, result.captured_at, result.valid) == (0, 0.3, True)
    finding = smoothing_of(result)
    assert finding.caption == "smoothed by flow: 2.1% of the pixels"
    assert json.loads(json.dumps(finding.facts())) == {
        "valid": True, "reason": "", "method": "flow", "frames": 4, "reset": "", "changed_share": 0.020833,
    }  # fmt: skip


def test_a_result_that_is_not_valid_stays_so_and_ends_the_average() -> None:
    processor = StabiliseProcessor(LABELS)
    for number in range(3):
        processor.process(FRAME, result_of(0.1 * number))
    dark = processor.process(FRAME, result_of(0.3).invalidated("dark"))
    assert (dark.valid, dark.reason, dark.raw_classes) == (False, "dark", None)
    finding = smoothing_of(dark)
    assert (finding.valid, finding.reason) == (False, MASK_INVALID)
    assert finding.caption == "not smoothed: mask-invalid"
    assert finding.facts()["changed_share"] is None
    after = processor.process(FRAME, result_of(0.4, ROAD))
    assert smoothing_of(after).reset == "first"
    assert (after.classes[40:80, 40:80] == ROAD).all()


def test_a_smoothed_result_is_withdrawn_with_its_maps() -> None:
    result = StabiliseProcessor(LABELS).process(FRAME, result_of(0.0)).invalidated("stale")
    assert (smoothing_of(result).valid, result.raw_classes) == (False, None)


def test_other_findings_stay() -> None:
    other = Smoothing(True, "", 0.0, "flow")
    result = StabiliseProcessor(LABELS).process(FRAME, replace(result_of(0.0), findings={"other": other}))
    assert result.findings["other"] is other


def test_the_source_s_own_pose_gives_the_motion_and_the_time(camera: CameraModel, pose: MakePose) -> None:
    processor = StabiliseProcessor(LABELS, BY_POSE, Optics(camera))
    for number in range(3):  # captured seconds apart, as where a film is processed slowly
        result = replace(result_of(5.0 * number), pose=pose(at=0.1 * number))
        smoothed = processor.process(FRAME, result)
    finding = smoothing_of(smoothed)
    assert (finding.valid, finding.method, finding.frames) == (True, "pose", 3)


def test_a_link_gives_the_pose(camera: CameraModel, pose: MakePose) -> None:
    poses = PoseHistory()
    processor = StabiliseProcessor(LABELS, BY_POSE, Optics(camera), poses=poses)
    without = processor.process(FRAME, result_of(1.0))
    assert (smoothing_of(without).reason, without.raw_classes) == ("no-pose", None)
    for at in (1.0, 1.1):
        poses.add_attitude(at, pose().attitude)
        poses.add_height(at, 20.0)
        poses.add_position(at, 0.0, 0.0)
    assert smoothing_of(processor.process(FRAME, result_of(1.05))).valid


def test_without_a_pose_nothing_is_smoothed() -> None:
    result = StabiliseProcessor(LABELS, BY_POSE).process(FRAME, result_of(0.0))
    assert (smoothing_of(result).valid, smoothing_of(result).reason) == (False, "no-pose")


@pytest.mark.parametrize("method", ["flow", "pose"])
def test_frames_that_the_calibration_is_not_for(method: str, camera: CameraModel, pose: MakePose) -> None:
    square = Segmentation(np.zeros((200, 200), np.uint8), pose=pose())
    options = StabiliserOptions(method=method)  # type: ignore[arg-type]
    processor = StabiliseProcessor(LABELS, options, Optics(camera))
    finding = smoothing_of(processor.process(np.ascontiguousarray(FRAME[:200, :200]), square))
    assert finding.reason == ("camera-mismatch" if method == "pose" else "")
