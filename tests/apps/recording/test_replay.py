"""A recording run again: the same gives the same, and what changed is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.apps.recording.comparison import Comparison, Milliseconds, summary_of
from edgeseg.apps.recording.images import DifferenceImages
from edgeseg.apps.recording.reading import Recording
from edgeseg.apps.recording.records import FRAME, RecordWriter, read_records
from edgeseg.apps.recording.sink import FORMAT, RecordingSink
from edgeseg.cli.main import main
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output


@pytest.fixture
def other_bundle(make_bundle: Callable[..., Path]) -> Path:
    """One with a coarser stride: other masks of the same classes."""
    return make_bundle("other", stride=8)


def replay(*words: object) -> int:
    return main(["replay", *map(str, words)])


def test_the_same_bundle_changes_no_pixel(
    bundle_folder: Path, record: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(bundle_folder)
    assert replay(folder, "--bundle", bundle_folder, "--json", tmp_path / "r.json") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["frames"], report["compared_frames"], report["pixels"]) == (6, 6, 6 * 48 * 64)
    assert (report["changed_pixels"], report["changed_frames"], report["worst"]) == (0, 0, [])
    assert [each["iou"] for each in report["classes"].values()] == [1.0, 1.0, 1.0]
    assert report["before"] == {"bundle": "recorded"}
    assert report["after"]["bundle"] == "tiny"
    assert report["problems"] == []
    assert (
        set(report["before_ms"]) == set(report["after_ms"]) == {"preprocess", "inference", "decode", "frame"}
    )
    assert report["recorded_run"]["versions"]["python"]
    out = capsys.readouterr().out
    assert "changed pixels    0 of 18432, 0.0000%" in out
    assert "compared with     the recorded masks" in out


def test_another_bundle_is_compared_with_the_recorded_masks_and_shown(
    bundle_folder: Path,
    other_bundle: Path,
    record: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = record(bundle_folder), tmp_path / "out"
    words = (folder, "--bundle", other_bundle, "--worst", 2, "--out", out, "--json", tmp_path / "r.json")
    assert replay(*words) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["changed_pixels"] > 0
    assert report["changed_share"] == report["changed_pixels"] / report["pixels"]
    shares = [each["changed_share"] for each in report["worst"]]
    assert len(shares) == 2
    assert shares == sorted(shares, reverse=True)
    assert shares[0] >= report["changed_share"]
    images = sorted(path.name for path in out.iterdir())
    assert images == [each["picture"] for each in report["worst"]]
    assert cv2.imread(str(out / images[0])).shape == (2 * 48 + 6, 2 * 64 + 6, 3)
    assert f"wrote 2 images to {out}" in capsys.readouterr().out
    assert replay(*words) == 2
    assert f"{out} exists; give --force" in capsys.readouterr().err
    assert replay(*words, "--force") == 0


def test_two_bundles_are_compared_with_each_other(
    bundle_folder: Path, other_bundle: Path, record: Callable[..., Path], tmp_path: Path
) -> None:
    folder = record(bundle_folder, invalid=(1, 4))
    of = {}
    for name, words in {
        "recorded": ("--bundle", other_bundle),
        "each other": ("--bundle", other_bundle, "--against", bundle_folder),
        "itself": ("--bundle", other_bundle, "--against", other_bundle, "--against-variant", "fp32"),
    }.items():
        path = tmp_path / f"{name}.json"
        assert replay(folder, *words, "--json", path) == 0
        of[name] = json.loads(path.read_text())
    # What was not valid when it was recorded has no mask to compare with, but two bundles both have one.
    assert [of[name]["compared_frames"] for name in of] == [4, 6, 6]
    assert all(of[name]["recorded_invalid"] == {"dark": 2} for name in of)
    assert of["itself"]["changed_pixels"] == 0
    assert of["each other"]["changed_pixels"] > 0
    assert of["each other"]["before"]["bundle"] == "tiny"


def test_a_cut_segment_is_told_of_and_the_rest_replayed(
    bundle_folder: Path, record: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(bundle_folder)
    segment = next(folder.rglob("*.edgerec"))
    segment.write_bytes(segment.read_bytes()[:-200])
    assert replay(folder, "--bundle", bundle_folder, "--json", tmp_path / "r.json") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["frames"], report["changed_pixels"]) == (5, 0)
    problem = f"{segment}: record 6 is cut short; its first 5 frames were read"
    assert report["problems"] == [problem]
    assert problem in capsys.readouterr().err


def test_classes_that_differ_are_refused(
    bundle_folder: Path,
    record: Callable[..., Path],
    edit_manifest: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = record(bundle_folder)
    edit_manifest(lambda manifest: manifest["labels"][1].update(name="gray"))
    assert replay(folder, "--bundle", bundle_folder) == 2
    assert "the recording's class 1 is 'grey' and that of tiny is 'gray'" in capsys.readouterr().err


def test_takes_can_be_replayed_one_by_one(
    bundle_folder: Path, record: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(bundle_folder, frames=2)
    record(bundle_folder, frames=3)
    for words, frames in (((folder,), 5), ((folder, "--take", 2), 3), ((folder / "take-0001",), 2)):
        assert replay(*words, "--bundle", bundle_folder) == 0
        assert f", {frames} frames of " in capsys.readouterr().out
    assert replay(folder / "take-0001", "--take", 1, "--bundle", bundle_folder) == 2
    assert "is one take by itself; leave --take out" in capsys.readouterr().err
    segment = folder / "take-0001" / "segment-000001.edgerec"
    assert replay(segment, "--bundle", bundle_folder) == 2
    assert f"is a file; the folder of its take is wanted, {segment.parent}" in capsys.readouterr().err
    assert replay(folder, "--take", 9, "--bundle", bundle_folder) == 2
    assert "holds no take 9; it holds 1, 2" in capsys.readouterr().err


def test_what_is_no_recording(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], three_labels: LabelMap
) -> None:
    def told(folder: Path) -> str:
        assert replay(folder, "--bundle", bundle_folder) == 2
        return capsys.readouterr().err

    assert "there is no recording" in told(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no recording" in told(tmp_path / "empty")
    take = tmp_path / "bad" / "take-0001"
    take.mkdir(parents=True)
    segment = take / "segment-000001.edgerec"
    segment.write_bytes(b"not one of ours")
    assert "is no segment of a recording by edgeseg" in told(tmp_path / "bad")
    labels = [{"name": label.name, "rgb": list(label.rgb)} for label in three_labels.labels]
    for head, message in (
        (
            {"format": "edgeseg.recording/9", "run": {}, "labels": labels},
            "this edgeseg reads edgeseg.recording/1",
        ),
        ({"format": FORMAT, "run": {}, "labels": "none"}, "its head has no label map"),
        ({"format": FORMAT, "run": {}, "labels": labels}, "no frame of the recording can be read"),
    ):
        segment.unlink()
        writer = RecordWriter(segment, head)
        writer.append(FRAME, {"frame_id": "x", "size_hw": [10**9, 10**9]}, b"", b"")
        writer.end()
        assert message in told(tmp_path / "bad")
    assert "Traceback" not in told(tmp_path / "bad")


def test_takes_of_different_classes_are_not_mixed(
    bundle_folder: Path,
    record: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = record(bundle_folder, frames=2)
    sink = RecordingSink(folder, LabelMap.generic(2), {"bundle": "\x1b[31mred"})
    void = np.full((48, 64), 255, np.uint8)
    frame = np.zeros((48, 64, 3), np.uint8)
    sink.write(Output(frame, Segmentation(void, valid=False, reason="dark\x07"), "", lambda: frame))
    sink.close(commit=True)
    assert replay(folder, "--bundle", bundle_folder) == 2
    assert "take-0001 and" in (err := capsys.readouterr().err)
    assert "take-0002 are of different classes; replay them one by one, with --take" in err
    assert replay(folder, "--take", 1, "--bundle", bundle_folder) == 0
    other = Recording(folder, take=2)
    assert other.run == {"bundle": "?[31mred"}  # what a terminal would obey is gone
    assert [frame.reason for frame in other.frames()] == ["dark?"]


def test_options_that_do_not_go_together(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        (("--against-variant", "fp32"), "go with --against alone"),
        (("--worst", "-1"), "--worst -1: expected 0 to 1000"),
        (("--threads", "0"), "--threads 0: expected a number of 1 or more"),
        (("--threads", "x"), "--threads x: expected a number of 1 or more"),
    ):
        assert replay(tmp_path, "--bundle", bundle_folder, *words) == 2
        assert message in capsys.readouterr().err


def test_a_recording_of_a_file_is_that_of_all_its_frames(
    bundle_folder: Path, record: Callable[..., Path], make_frame: Callable[..., np.ndarray]
) -> None:
    folder = record(bundle_folder, frames=4)
    kinds = [record.kind for record in read_records(next(folder.rglob("*.edgerec")))]
    assert kinds == [1, 2, 2, 2, 2, 4]


def test_the_comparison_counts() -> None:
    comparison = Comparison(2, keep=1)
    frame = np.zeros((2, 4, 3), np.uint8)
    before = np.array([[0, 0, 1, 1], [0, 0, 255, 1]], np.uint8)
    after = np.array([[0, 1, 1, 1], [0, 0, 1, 255]], np.uint8)
    comparison.add("t", 1, frame, before, before)
    comparison.add("t", 2, frame, before, after)
    comparison.add("t", 3, frame, before, after)
    told = summary_of(comparison, ("road", "car"))
    assert (told["compared_frames"], told["changed_frames"], told["changed_pixels"]) == (3, 2, 6)
    assert told["changed_share"] == 6 / 24
    assert told["classes"]["road"] == {"iou": 10 / 12, "share_before": 12 / 24, "share_after": 10 / 24}
    assert told["classes"]["car"]["iou"] == 7 / (9 + 11 - 7)
    assert told["mean_iou"] == (10 / 12 + 7 / 13) / 2
    (worst,) = comparison.worst
    assert (worst.frame_id, worst.share) == (2, 3 / 8)  # the first of those that are as bad
    np.testing.assert_array_equal(worst.after, after)


def test_the_milliseconds_are_of_stages_and_frames() -> None:
    ms = Milliseconds()
    assert ms.summary() == {}
    for inference in (1.0, 2.0, 3.0):
        ms.add({"inference": inference, "decode": 0.5})
    assert ms.summary()["frame"]["p50"] == 2.5
    assert ms.summary()["inference"]["p99"] == pytest.approx(2.98)


def test_an_image_shows_where_they_differ(three_labels: LabelMap) -> None:
    comparison = Comparison(3, keep=1)
    frame = np.full((200, 300, 3), 90, np.uint8)
    before, after = np.zeros((200, 300), np.uint8), np.zeros((200, 300), np.uint8)
    after[150:, :100] = 2
    comparison.add("t", 1, frame, before, after)
    image = DifferenceImages(three_labels, "old", "new").draw(comparison.worst[0])
    assert image.shape == (406, 606, 3)
    red = np.all(image == (60, 60, 255), axis=2)
    assert red[206 + 160, 306 + 50]
    assert not red[206 + 100, 306 + 50]
    assert not red[:, :300].any()
    np.testing.assert_array_equal(image[150, 50], frame[0, 0])
    assert image[206 + 175, 50].tolist() != image[206 + 100, 50].tolist()
