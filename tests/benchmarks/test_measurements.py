"""Accuracy, scaling and soak: the arithmetic on figures made by hand, and each once on real input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeseg.benchmarks import accuracy, scaling, soak
from edgeseg.runtime.bundle import Bundle


def point(variant: str, miou: float, p50: float, precision: str = "fp32") -> accuracy.Point:
    return accuracy.Point("b", "lraspp", variant, precision, "onnxruntime", miou, p50, p50, p50, 1.0)


class TestAccuracy:
    def test_the_front_is_what_nothing_beats(self) -> None:
        best, fast, poor = (
            point("fp32", 0.6, 20),
            point("int8", 0.59, 12, "int8"),
            point("x", 0.58, 15, "int8"),
        )
        assert accuracy.front_of([best, poor, fast]) == [fast, best]
        lines = accuracy.read_out([best, poor, fast])
        assert lines[0].startswith(
            "Nothing here is both more accurate and faster than: lraspp int8 on onnxruntime (59.00"
        )
        assert lines[1:] == [
            "b: the fastest is int8 on onnxruntime. It takes 0.60 times as long as fp32 on onnxruntime; its mean IoU"
            " differs by -1.00 points."
        ]

    def test_it_measures_a_labelled_split(
        self, small_bundle: Bundle, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        words = [
            str(small_bundle.path),
            "--data",
            str(shared_data / "camvid"),
            "--frames",
            "2",
            "--rounds",
            "1",
        ]
        assert accuracy.main([*words, "--backend", "onnxruntime", "--out", str(out)]) == 0
        (row,) = json.loads((out / "accuracy.json").read_text())["points"]
        assert 0.1 < row["miou"] < 0.8
        assert row["p50"] > 0
        assert (row["backend"], row["precision"]) == ("onnxruntime", "fp32")
        assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")

    def test_without_truth_there_is_no_figure(
        self, small_bundle: Bundle, make_dataset, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert accuracy.main([str(small_bundle.path), "--data", str(make_dataset())]) == 2
        assert "are not those of" in capsys.readouterr().err
        assert accuracy.main([str(small_bundle.path), "--rounds", "1"]) == 2
        assert "has no mean IoU of fp32; give --data" in capsys.readouterr().err
        assert accuracy.main([str(small_bundle.path), "--backend", "openvino"]) == 2
        assert "--backend openvino needs --data" in capsys.readouterr().err


class TestSoak:
    def test_the_slope_is_least_squares(self) -> None:
        seconds = np.arange(100, dtype=float)
        samples = np.stack([seconds, 200 + seconds / 60], axis=1)
        assert soak.slope_mb_per_hour(samples) == pytest.approx(60)

    def test_the_first_stretch_and_the_last(self) -> None:
        seconds = np.arange(1, 101) / 10
        milliseconds = np.where(seconds <= 5, 10.0, 20.0)
        first, last = soak.first_and_last(seconds, milliseconds, 2)
        assert (first.p50, last.p50) == (10, 20)
        assert first.fps == pytest.approx(10)

    def test_a_stretch_of_a_slow_machine_has_ten_frames_all_the_same(self) -> None:
        seconds = np.arange(1, 31) * 3.0
        first, last = soak.first_and_last(seconds, np.full(30, 3000.0), 2)
        assert (first.frames, last.frames) == (10, 10)
        assert last.fps == pytest.approx(1 / 3)

    def test_the_verdict_names_what_went_wrong(self) -> None:
        quick, slow = soak.Stretch(50, 10, 12, 3000), soak.Stretch(40, 12, 20, 2400)
        text = " ".join(soak.verdict((quick, slow), 300.0, 600.0, 60, 3))
        assert "The last 60 s are slower than the first" in text
        assert "Memory grows: +50.00 MB over the 10.0 minutes" in text
        assert "3 results were not valid." in text
        text = " ".join(soak.verdict((quick, quick), 30.0, 60.0, 60, 0))
        assert "as fast as the first" in text
        assert "Memory does not grow: +0.50 MB" in text

    def test_it_runs_the_pipeline(
        self,
        small_bundle: Bundle,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("os.sched_setaffinity", lambda pid, cpus: None)  # it would last for all tests
        out = tmp_path / "soak"
        words = [str(small_bundle.path), "--minutes", "0.05", "--frame", "160x120", "--out", str(out)]
        assert soak.main(words) == 0
        result = json.loads((out / "soak.json").read_text())
        assert result["first"]["frames"] >= 10
        assert result["first"]["p99"] >= result["first"]["p50"] > 0
        assert len(result["memory_mb"]) >= 2
        assert result["verdict"][-1] == "0 results were not valid."
        assert (out / "soak.png").read_bytes().startswith(b"\x89PNG")

    def test_no_time_is_refused(self, small_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        assert soak.main([str(small_bundle.path), "--minutes", "0"]) == 2
        assert "--minutes 0: expected 0.05 minutes to a week" in capsys.readouterr().err


class TestScaling:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("--classes two", "expected whole numbers"),
            ("--classes 1", "expected 2 to 255"),
            ("--sizes 5", "WIDTHxHEIGHT"),
        ],
    )
    def test_bad_options(self, options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert scaling.main(options.split()) == 2
        assert message in capsys.readouterr().err

    @pytest.mark.slow
    def test_it_measures_sizes_and_classes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        words = [
            "--size",
            "64x96",
            "--sizes",
            "160x120,320x240",
            "--classes",
            "3",
            "--rounds",
            "1",
            "--out",
            str(out),
        ]
        assert scaling.main(words) == 0
        result = json.loads((out / "scaling.json").read_text())
        assert [row["size_hw"] for row in result["by_frame_size"]] == [[120, 160], [240, 320]]
        (row,) = result["by_classes"]
        assert set(row["pipeline_ms"]) == {
            "edgeseg-onnxruntime",
            "onnxruntime-frame",
            "onnxruntime-frame-argmax",
            "bare",
        }
        assert row["mixed_cells_random"] > row["mixed_cells"] or row["mixed_cells"] > 0.5
        assert "edgeseg is" in (out / "scaling.md").read_text()
