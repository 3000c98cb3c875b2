"""Names that libraries written in C take for files: with a colon, and not UTF-8."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.native_name import native_name, native_text
from edgeseg.runtime.painter import LegendRow, Painter

NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


def test_a_plain_name_stays_what_it_is(tmp_path: Path) -> None:
    with native_name(tmp_path / "a.mp4") as name:
        assert name == str(tmp_path / "a.mp4")


def test_a_relative_name_with_a_colon_is_no_url() -> None:
    with native_name(Path("cam-12:30:00.mp4")) as name:
        assert name == "./cam-12:30:00.mp4"


def test_a_name_that_is_no_text_is_reached_by_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with native_name(NOT_UTF8) as name:
        name.encode("utf-8")
        assert name.endswith(".mp4")
        Path(name).write_bytes(b"film")
    assert (tmp_path / NOT_UTF8).read_bytes() == b"film"
    assert not Path(name).parent.exists()


def test_without_a_place_for_the_link_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with (
        pytest.raises(UsageError, match=r"the name is not UTF-8, and no link to it can be made in .*gone"),
        native_name(NOT_UTF8),
    ):
        raise AssertionError("not reached")


def test_texts_that_are_none_can_be_drawn() -> None:
    assert native_text("straße 7") == "straße 7"
    assert native_text("caf\udce9 \ud800") == "caf? ?"
    canvas = np.zeros((200, 300, 3), np.uint8)
    painter = Painter(canvas)
    painter.badge(["caf\udce9"])
    painter.legend([LegendRow(None, "\ud800", "1%")])
    painter.notice("caf\udce9")
    assert canvas.any()
