from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeseg import Segmenter, Threads
from edgeseg.core.errors import BackendError, BundleError, DataError
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.clock import now
from edgeseg.runtime.result import Segmentation


def halves(height: int, width: int) -> np.ndarray:
    frame = np.full((height, width, 3), 30, np.uint8)
    frame[:, width // 2 :] = 220
    return frame


@pytest.mark.parametrize("size_hw", [(32, 48), (75, 101), (480, 640), (5, 7), (1, 1)])
def test_classes_have_the_frames_own_size(bundle_folder: Path, size_hw: tuple[int, int]) -> None:
    with Segmenter(bundle_folder) as seg:
        result = seg(halves(*size_hw))
    assert result.classes.shape == size_hw
    assert result.classes.dtype == np.uint8
    assert result.valid
    assert result.reason == ""


def test_classes_follow_the_image(bundle_folder: Path) -> None:
    with Segmenter(str(bundle_folder)) as seg:
        classes = seg(halves(96, 144)).classes
    assert (classes[:, :60] == 0).all()
    assert (classes[:, 84:] == 2).all()


def test_a_result_tells_its_frame_time_and_stages(bundle_folder: Path) -> None:
    with Segmenter(Bundle.load(bundle_folder)) as seg:
        before = now()
        first, second = seg(halves(20, 20)), seg(halves(20, 20))
        third = seg(halves(20, 20), captured_at=12.5, frame_id=40)
    assert (first.frame_id, second.frame_id, third.frame_id) == (0, 1, 40)
    assert before <= first.captured_at <= second.captured_at
    assert third.captured_at == 12.5
    assert set(first.timings_ms) == {"preprocess", "inference", "decode"}
    assert all(ms >= 0 for ms in first.timings_ms.values())
    assert first.margin is None


def test_a_margin_where_asked_for(bundle_folder: Path) -> None:
    with Segmenter(bundle_folder) as seg:
        result = seg(halves(60, 90), margin=True)
    assert result.margin is not None
    assert result.margin.shape == (60, 90)
    assert (result.margin >= 0).all()
    assert result.margin[:, 40:50].min() < result.margin[:, :10].min()


def test_logits_that_are_not_finite_give_no_mask(make_bundle: Callable[..., Path]) -> None:
    with Segmenter(make_bundle(scale=float("inf"))) as seg:
        result = seg(halves(30, 30), margin=True)
    assert not result.valid
    assert result.reason == "not-finite"
    assert (result.classes == 255).all()
    assert result.margin is None


def test_a_result_can_lose_its_classes() -> None:
    result = Segmentation(
        np.ones((2, 3), np.uint8), 7, 12.5, timings_ms={"decode": 1.0}, margin=np.ones((2, 3), np.float32)
    )
    lost = result.invalidated("stale")
    assert (lost.valid, lost.reason, lost.margin, lost.timings_ms) == (False, "stale", None, {"decode": 1.0})
    assert (result.classes == 1).all()
    none = Segmentation.without_classes(np.ones((2, 3, 3), np.uint8), 7, 12.5, "dark")
    assert (none.valid, none.reason, none.timings_ms) == (False, "dark", {})
    for each in (lost, none):
        assert (each.frame_id, each.captured_at, each.classes.dtype) == (7, 12.5, np.uint8)
        assert each.classes.tolist() == [[255] * 3] * 2


def test_it_tells_its_labels_and_bundle(bundle_folder: Path) -> None:
    with Segmenter(bundle_folder) as seg:
        assert seg.labels.names == ("dark", "grey", "bright")
        assert seg.bundle.name == "tiny"
        assert (seg.backend.name, seg.backend.device, seg.backend.precision) == ("onnxruntime", "cpu", "fp32")


def test_where_no_variant_is_named_the_one_made_for_the_device_runs(
    bundle_folder: Path, edit_manifest: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    def add(manifest: dict[str, Any]) -> None:
        fp32 = manifest["variants"]["fp32"]
        manifest["variants"]["int8"] = {**fp32, "precision": "int8", "target": "tensorrt"}
        manifest["default_variant"] = "int8"

    edit_manifest(add)
    with Segmenter(bundle_folder) as seg:
        assert seg.variant.name == "fp32"
    with Segmenter(bundle_folder, "int8") as seg:  # slow, but what was asked for
        assert seg.variant.name == "int8"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "must be uint8 .* got float32"),
        (np.zeros((4, 4), np.uint8), r"got the shape \[4, 4\]; convert it with cv2.cvtColor"),
        (np.zeros((4, 4, 4), np.uint8), r"got the shape \[4, 4, 4\]; convert it with cv2.cvtColor"),
        (np.zeros((3, 4, 5), np.uint8), r"got the shape \[3, 4, 5\]$"),
        (np.zeros((0, 4, 3), np.uint8), r"must have pixels; got the shape \[0, 4, 3\]"),
        (None, "must be a NumPy array.* got NoneType"),
    ],
)
def test_a_bad_frame_is_refused(bundle_folder: Path, frame: np.ndarray, message: str) -> None:
    with Segmenter(bundle_folder) as seg, pytest.raises(DataError, match=message):
        seg(frame)


def test_frames_may_be_views(bundle_folder: Path) -> None:
    frame = halves(64, 64)
    with Segmenter(bundle_folder) as seg:
        np.testing.assert_array_equal(
            seg(frame[::2, ::-1]).classes, seg(np.ascontiguousarray(frame[::2, ::-1])).classes
        )


def test_unknown_names_are_answered(bundle_folder: Path) -> None:
    with pytest.raises(BundleError, match="no variant 'fp99'; it has fp32"):
        Segmenter(bundle_folder, variant="fp99")
    with pytest.raises(BackendError, match="unknown backend 'abacus'; known: onnxruntime"):
        Segmenter(bundle_folder, backend="abacus")
    with pytest.raises(BackendError, match="knows no device 'npu'; known: cpu, cpu-spin, cuda, tensorrt"):
        Segmenter(bundle_folder, device="npu")


def test_a_graph_that_breaks_the_bundles_promise(make_bundle: Callable[..., Path]) -> None:
    with (
        Segmenter(make_bundle(stride=8, promised_stride=4)) as seg,
        pytest.raises(BackendError, match=r"logits of shape \[3, 4, 6\], but .* promises"),
    ):
        seg(halves(30, 30))


def test_as_many_prepared_frames_stay_as_were_asked_for(bundle_folder: Path) -> None:
    with Segmenter(bundle_folder, threads=Threads(decode=2)) as seg:
        seg.keep_frames(7)
        seg.keep_frames(3)
        levels = [10, 60, 90, 120, 150, 180, 250]
        prepared = [seg.prepare(np.full((20, 30, 3), level, np.uint8)) for level in levels]
        assert [int(frame.frame_nhwc[0, 0, 0, 0]) for frame in prepared] == levels
        assert [int(i.logits.argmax(0)[0, 0]) for i in seg.infer_batch(prepared)] == [0, 0, 1, 1, 1, 2, 2]
