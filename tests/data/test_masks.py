"""Palette and RGB masks, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.data.masks import read_frame, read_mask
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.labels import VOID, LabelMap
from PIL import Image

MASK = np.array([[0, 1, 2], [2, 255, 1]], np.uint8)
WriteMask = Callable[..., None]


@pytest.mark.parametrize("kind", ["palette", "rgb"])
def test_both_forms_give_the_ids(kind: str, tmp_path: Path, labels: LabelMap, write_mask: WriteMask) -> None:
    write_mask(tmp_path / "m.png", MASK, kind)
    assert (read_mask(tmp_path / "m.png", labels) == MASK).all()


def test_another_palette_is_read_by_its_colours(
    tmp_path: Path, labels: LabelMap, write_mask: WriteMask
) -> None:
    # An annotation tool may number its palette in its own order: here car is index 0 and ground index 2.
    palette = labels.palette_rgb()[[2, 1, 0, *range(3, 256)]]
    write_mask(tmp_path / "m.png", np.array([[0, 1, 2]], np.uint8), palette=palette)
    assert read_mask(tmp_path / "m.png", labels).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("kind", ["palette", "rgb", "grey"])
def test_pixels_of_a_line_for_void_are_void(kind: str, tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("ground:0,0,0::\nvoid:9,9,9::\ncar:64,0,128::\n")
    labels = LabelMap.read(tmp_path / "labelmap.txt")
    colours = np.array([[0, 0, 0], [9, 9, 9], [64, 0, 128]], np.uint8)
    stored = np.array([[0, 1, 2, 2]], np.uint8)  # as a tool numbers them by their lines
    image = Image.fromarray(colours[stored] if kind == "rgb" else stored)
    if kind == "palette":
        image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", labels).tolist() == [[0, VOID, 1, 1]]


def test_a_grey_mask_holds_ids(tmp_path: Path, labels: LabelMap) -> None:
    Image.fromarray(MASK).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", labels) == MASK).all()


def test_refusals(tmp_path: Path, labels: LabelMap, write_mask: WriteMask) -> None:
    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "id.png")
    with pytest.raises(DataError, match="holds class id 9; the label map has 0 to 2"):
        read_mask(tmp_path / "id.png", labels)
    Image.fromarray(np.full((2, 2, 3), 77, np.uint8)).save(tmp_path / "colour.png")
    with pytest.raises(DataError, match=r"holds the colour \(77, 77, 77\), which no class"):
        read_mask(tmp_path / "colour.png", labels)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"cannot read the mask .*pipe\.png: it is a pipe, expected a file"):
        read_mask(tmp_path / "pipe.png", labels)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match=r"the mask .*broken\.png is not of a form that is read"):
        read_mask(tmp_path / "broken.png", labels)
    with pytest.raises(DataError, match=r"cannot read the picture .*nothing\.jpg: No such file"):
        read_frame(tmp_path / "nothing.jpg")
    with pytest.raises(DataError, match=r"cannot read the mask .*nothing\.png: No such file"):
        read_mask(tmp_path / "nothing.png", labels)


def test_masks_that_are_cut_or_of_a_form_that_loses_classes(
    tmp_path: Path, labels: LabelMap, write_mask: WriteMask
) -> None:
    path = tmp_path / "m.png"
    write_mask(path, MASK.repeat(40, 0).repeat(40, 1))
    whole = path.read_bytes()
    for bad in (whole[: len(whole) // 2], whole[: len(whole) // 2] + whole[-12:], whole[:-20] + whole[-12:]):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"the mask .*m\.png is damaged or truncated"):
            read_mask(path, labels)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, "JPEG")
    with pytest.raises(DataError, match="is not of a form that is read; expected a PNG"):
        read_mask(path, labels)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)
    with pytest.raises(DataError, match="has more than 8 bits a pixel; expected class ids or colours"):
        read_mask(path, labels)


def test_a_picture_that_was_cut_is_refused_though_it_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    for ending in (b"", b"\xff\xd9"):
        path.write_bytes(whole[: len(whole) * 6 // 10] + ending)
        with pytest.raises(DataError, match=r"the picture .*a\.jpg is damaged or truncated"):
            read_frame(path)
