"""The measurement beside Python: it compares the masks first, and times both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgeseg.benchmarks import c_library
from edgeseg.core.arrays import ClassMap, Frame


@pytest.fixture
def words(installed: Path, ort: Path, bundle_folder: Path) -> list[str]:
    library = next((installed / "installed").rglob("libedgeseg.so"))
    return f"{bundle_folder} --library {library} --onnxruntime {ort} --frame 64x48 --rounds 2 --threads 1".split()


def test_it_times_both(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert c_library.main([*words, "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "out/c_library.json").read_text())
    assert figures["frame_hw"] == [48, 64]
    assert set(figures["frame_ms"]) == set(figures["open_ms"]) == {"Python", "C"}
    assert all(ms["p50"] > 0 for ms in figures["frame_ms"].values())
    assert "The class maps are the same, bit for bit. A frame of 64 x 48 takes" in capsys.readouterr().out


def test_masks_that_differ_are_told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = c_library.CLibrary.run

    def run_wrongly(self: c_library.CLibrary, frame_bgr: Frame, classes: ClassMap) -> None:
        run(self, frame_bgr, classes)
        classes[5, 7:9] += 1

    monkeypatch.setattr(c_library.CLibrary, "run", run_wrongly)
    assert c_library.main(words) == 2
    assert "frame 0: 2 pixels differ between C and Python; build the library from" in capsys.readouterr().err


def test_what_the_library_refuses_is_told(
    words: list[str], bundle_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert c_library.main([*words, "--variant", "fp32", "--onnxruntime", "/gone.so"]) == 2
    assert "error: ONNX Runtime's library does not load (/gone.so" in capsys.readouterr().err


def test_a_library_that_is_not_there(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert c_library.main([str(bundle_folder), "--library", "/gone.so"]) == 2
    assert "/gone.so does not load (" in capsys.readouterr().err
