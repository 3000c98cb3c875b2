"""The exclusion list: written to be read and edited, and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeseg.calibration.exclusions import read_exclusions, write_exclusions
from edgeseg.calibration.graph import Graph
from edgeseg.core.errors import DataError, OutputError


def test_a_list_is_read_as_it_was_written(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    write_exclusions(path, graph, "cpu", ["deep", "stem"], {"deep": 0.1234})
    assert read_exclusions(path, graph) == ("deep", "stem")
    text = path.read_text()
    assert "int8-cpu" in text
    assert "deep, 3 x 3, " in text
    assert "alone 12.34 % of logit error" in text
    assert text.count("logit error") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["exclude.txt"]


def test_an_empty_list(graph: Graph, tmp_path: Path) -> None:
    write_exclusions(tmp_path / "exclude.txt", graph, "cpu", [], {})
    assert read_exclusions(tmp_path / "exclude.txt", graph) == ()


def test_what_a_person_edits(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text("# mine\n\n  point   # keeps the road\nstem#and this\n#deep\npoint\n", encoding="utf-8")
    assert read_exclusions(path, graph) == ("point", "stem")


def test_an_unknown_name_is_shown_with_its_line(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text("stem\n# a comment\nConv_99\n")
    with pytest.raises(
        DataError, match=r"exclude.txt, line 3: the graph has no convolution 'Conv_99'; .*stem, depth"
    ):
        read_exclusions(path, graph)


def test_files_that_cannot_be_used(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the exclusion list"):
        read_exclusions(tmp_path / "nothing.txt", graph)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read the exclusion list"):
        read_exclusions(tmp_path / "binary", graph)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*exclude\.txt"):
        write_exclusions(tmp_path / "file" / "exclude.txt", graph, "cpu", [], {})
