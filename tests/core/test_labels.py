"""Label maps: CVAT's form read and written, VOC's classes and colours, and what is refused."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import VOID, VOID_RGB, LabelMap, voc_color, voc_labels
from edgeseg.core.sizes import parse_size
from edgeseg.runtime.sinks.shm_layout import encode_names
from hypothesis import example, given, settings
from hypothesis import strategies as st


def test_a_map_survives_its_file(tmp_path: Path) -> None:
    labels = LabelMap.from_pairs([("road", (128, 64, 128)), ("wild boar", (1, 2, 3))])
    labels.write(tmp_path / "labelmap.txt")
    assert LabelMap.read(tmp_path / "labelmap.txt") == labels


def test_cvats_own_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:10,20,30:wheel,door:drive\n\nvoid:9,9,9::\n"
    )
    labels = LabelMap.read(path)
    assert labels.names == ("background", "car")
    assert labels.labels[1].rgb == (10, 20, 30)


@example(["#grass"])
@example(["void"])
@example(["road:wet"])
@example([" road", "road "])
@example(["Ignore", "road"])
@example(["a\x85b", "a\u2028b", "\ufeffroad"])
@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.text(max_size=8)
        | st.text("#: vo\tid\ufeff", max_size=5)
        | st.sampled_from(["VOID", "ignore", "#"]),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_a_map_that_is_accepted_survives_every_form(names: list[str]) -> None:
    try:
        labels = LabelMap.from_pairs((name, (index, 1, 2)) for index, name in enumerate(names))
    except DataError:
        return
    with tempfile.TemporaryDirectory() as folder:
        labels.write(Path(folder) / "labelmap.txt")
        assert LabelMap.read(Path(folder) / "labelmap.txt") == labels
    stored = json.loads(json.dumps([[label.name, label.rgb] for label in labels.labels]))
    assert LabelMap.from_pairs(stored) == labels
    assert encode_names(labels.names).decode().split("\0")[:-1] == list(names)


@pytest.mark.parametrize("name", ["#grass", "a:b", " road", "road ", "void", "Void", "IGNORE"])
def test_a_name_that_its_file_could_not_hold_is_refused_when_made(name: str) -> None:
    with pytest.raises(DataError, match="is no class's name: ") as caught:
        LabelMap.from_pairs([(name, (1, 2, 3))])
    assert "\n" not in str(caught.value)


def test_lines_for_void_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text("Void:9,9,9::\nroad:1,2,3::\nignore:8,8,8::\ncar:3,2,1::\n")
    labels = LabelMap.read(path)
    assert labels == LabelMap.from_pairs([("road", (1, 2, 3)), ("car", (3, 2, 1))])
    assert labels.ids_by_position().tolist() == [VOID, 0, VOID, 1]
    labels.write(tmp_path / "again.txt")
    assert LabelMap.read(tmp_path / "again.txt").void == labels.void


def test_a_map_written_on_windows_is_read(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_bytes(b"\xef\xbb\xbfroad:1,2,3::\r\ncar:3,2,1::\r\n")
    assert LabelMap.read(tmp_path / "labelmap.txt").names == ("road", "car")


def test_vocs_classes_and_colours() -> None:
    labels = voc_labels()
    assert len(labels) == 21
    # The development kit's published colours.
    assert [labels.labels[i].rgb for i in (0, 1, 15, 20)] == [
        (0, 0, 0),
        (128, 0, 0),
        (192, 128, 128),
        (0, 64, 128),
    ]
    assert voc_color(255) == VOID_RGB
    palette = labels.palette_rgb()
    assert palette.shape == (256, 3)
    assert tuple(palette[VOID]) == VOID_RGB


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road;1,2,3", "line 1: 'road;1,2,3' is not of the form name:r,g,b::"),
        ("road:1,2,300::", "has the colour .* expected three numbers from 0 to 255"),
        ("road:1,2,3::\nroad:3,2,1::", "has the name road twice"),
        ("road:1,2,3::\ncar:1,2,3::", r"has the colour \(1, 2, 3\) twice"),
        (
            "ro\x1b[2Jad:1,2,3::",
            r"'ro\\x1b\[2Jad' is no class's name; expected 1 to 100 printable characters",
        ),
        ("x" * 101 + ":1,2,3::", "is no class's name"),
        ("x" * 100_000, "line 1: 'x{100}…' is not of the form"),
        ("a:1,2,3::\n" * 20_000, "has the name a twice|holds 1 to 255 classes"),
        ("#" * (257 << 10), "it is larger than 256 KiB"),
        ("road:1,2,3::\nvoid:1,2,3::", r"has the colour \(1, 2, 3\) twice"),
        ("road:1,2,3::\nvoid:1,2,300::", "has the colour .* expected three numbers from 0 to 255"),
        ("# nothing", "a label map holds 1 to 255 classes, this one 0"),
    ],
)
def test_a_malformed_map_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        LabelMap.read(path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_what_is_no_text_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    with pytest.raises(DataError, match="cannot read the label map"):
        LabelMap.read(path)
    path.write_bytes(b"road:1,2,3::\n\xff\xfe")
    with pytest.raises(DataError, match="cannot read the label map"):
        LabelMap.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="it is a pipe, expected a file"):
        LabelMap.read(path)


def test_a_missing_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the label map"):
        LabelMap.read(tmp_path / "labelmap.txt")


def test_sizes() -> None:
    assert parse_size("360x480") == (360, 480)
    for text in ("360", "x480", "0x480", "360x000", "-1x5", "3.5x4"):
        with pytest.raises(UsageError, match="is not a size; expected HEIGHTxWIDTH"):
            parse_size(text)
