"""Palette and RGB masks, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.core.errors import DataError
from edgeseg.core.labels import VOID, LabelMap
from edgeseg.data import colours
from edgeseg.data.masks import read_frame, read_mask
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
    with pytest.raises(DataError, match=r"cannot read the image .*nothing\.jpg: No such file"):
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
    with pytest.raises(DataError, match="is a lossy mask, a JPEG: threshold it"):
        read_mask(path, labels)
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match="is not of a form that is read; expected a PNG"):
        read_mask(path, labels)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)
    with pytest.raises(DataError, match="has more than 8 bits a pixel; expected class ids or colours"):
        read_mask(path, labels)


def test_an_image_that_was_cut_is_refused_though_it_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    for ending in (b"", b"\xff\xd9"):
        path.write_bytes(whole[: len(whole) * 6 // 10] + ending)
        with pytest.raises(DataError, match=r"the image .*a\.jpg is damaged or truncated"):
            read_frame(path)


def test_all_unknown_colours_come_at_once_as_lines(tmp_path: Path, labels: LabelMap) -> None:
    pixels = np.array([[(1, 2, 3), (7, 8, 9), (7, 8, 9), (128, 64, 128)]], np.uint8)
    lines = "add to labelmap.txt: colour_7_8_9:7,8,9:: colour_1_2_3:1,2,3::"
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    palette = Image.fromarray(np.array([[0, 1, 1, 2]], np.uint8))
    palette.putpalette([1, 2, 3, 7, 8, 9, 128, 64, 128])
    palette.save(tmp_path / "palette.png")
    for name in ("rgb.png", "palette.png"):
        with pytest.raises(
            colours.UnknownColoursError, match=f"holds 2 colours that no class .*{lines}$"
        ) as told:
            read_mask(tmp_path / name, labels)
        assert told.value.unknown == {(1, 2, 3): 1, (7, 8, 9): 2}


def test_noise_of_a_jpeg_is_named(tmp_path: Path, labels: LabelMap) -> None:
    noise = np.random.default_rng(0).integers(-9, 10, (40, 40, 3))
    pixels = np.clip(labels.palette_rgb()[MASK.repeat(20, 0).repeat(20, 1)[:40, :40] % 3] + noise, 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"is a lossy mask: it holds [0-9]+ colours that no class"):
        read_mask(tmp_path / "rgb.png", labels)
    grey = np.where(np.arange(1600).reshape(40, 40) % 40 < 20, 0, 255) + noise[..., 0]
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"is a lossy mask: it holds 2[0-9] values around 0 and 255"):
        read_mask(tmp_path / "grey.png", labels)


def test_instance_ids_are_named(tmp_path: Path, labels: LabelMap) -> None:
    Image.fromarray(np.array([[7, 26001]], np.uint16)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="values up to 26001: instance ids, as Cityscapes' instanceIds"):
        read_mask(tmp_path / "m.png", labels)


def test_a_mask_of_one_bit_a_pixel_holds_ids(tmp_path: Path, labels: LabelMap) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", labels).tolist() == [[0, 1]]


def test_colours_are_looked_up_without_sorting_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting the pixels of a mask took seconds at 1080p; a table takes hundredths."""
    monkeypatch.setattr(np, "unique", None)
    pixels = np.array([[(0, 0, 0), (1, 2, 3)], [(255, 255, 255), (0, 0, 0)]], np.uint8)
    ids, unknown = colours.look_up(pixels, {0: 4, 0x010203: 0, 0xFFFFFF: 255})
    assert (ids.tolist(), unknown) == ([[4, 0], [255, 4]], {})


def test_the_nearest_colour() -> None:
    known = np.array([(0, 0, 0), (200, 0, 0), (0, 0, 200)], np.uint8)
    pixels = np.array([[(9, 9, 9), (150, 20, 20)], [(30, 0, 140), (0, 0, 0)]], np.uint8)
    assert colours.nearest(pixels, known).tolist() == [[0, 1], [2, 0]]
