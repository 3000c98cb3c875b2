"""A contact sheet: one image with a row for each labelled frame: frame, truth, mask and overlay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ...core.labels import VOID, LabelMap
from ...core.outputs import write_atomically
from ...data.metrics import ConfusionMatrix
from ...runtime.bundle import Bundle
from ...runtime.overlay import Overlay
from ...runtime.segmenter import Segmenter
from ..verification.frames import LabelledFrame, LabelledFrames

_TILE_WIDTH = 300
_GAP = 10
_MARGIN = 36
_CAPTION = 30
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 30, 34), (112, 116, 124)

_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ContactRow:
    """The row of one frame.

    Attributes:
        frame: with its mask.
        classes: uint8 [H, W], the bundle's class map.
        truth: whether the frame's mask has the network's classes.
    """

    frame: LabelledFrame
    classes: npt.NDArray[np.uint8]
    truth: bool


def write_contact_sheet(path: Path, bundle: Bundle, frames: LabelledFrames, rows: int = 5) -> None:
    """Runs a bundle's default variant on a few evenly spaced frames, and writes the sheet as a PNG.

    Args:
        path: the file; an existing one is replaced.
        bundle: checked and open.
        frames: if their classes are not the network's, the column of the truth is left out.
        rows: the largest number of frames.

    Raises:
        OutputError: the file cannot be written.
    """
    truth = frames.truth_fits(bundle.labels)
    with Segmenter(bundle) as segmenter:
        shown = [
            ContactRow(frame, segmenter(frame.frame_bgr).classes, truth) for frame in _spread(frames, rows)
        ]
    variant = bundle.variant()
    title = f"{bundle.name}, {bundle.manifest['weights']['name']} weights"
    note = f"{variant.precision} on {frames.name}"
    sheet = draw_contact_sheet(shown, bundle.labels, title, note)
    done, encoded = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert done
    write_atomically(path, encoded.tobytes(), force=True)


def draw_contact_sheet(rows: Sequence[ContactRow], labels: LabelMap, title: str, note: str) -> _Image:
    """Draws the sheet.

    Args:
        rows: at least one; only rows like the first, with or without truth, are drawn.
        labels: the classes, for the colours and the legend.
        title: the heading.
        note: a line below the heading.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    headings = ("frame", "truth", "mask", "overlay") if rows[0].truth else ("frame", "mask", "overlay")
    tiles = [[_fit(tile) for tile in _tiles(row, labels)] for row in rows]
    heights = [row[0].shape[0] for row in tiles]
    width = 2 * _MARGIN + len(headings) * (_TILE_WIDTH + _GAP) - _GAP
    legend = _legend_lines(labels, width - 2 * _MARGIN)
    top = _MARGIN + 92
    height = top + sum(heights) + len(heights) * (_CAPTION + _GAP) + 34 * len(legend) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 6), title, _INK, _font(26, bold=True))
    draw.text((_MARGIN, _MARGIN + 30), note, _FAINT, _font(15))
    for column, heading in enumerate(headings):
        left = _MARGIN + column * (_TILE_WIDTH + _GAP)
        draw.text((left, top - 26), heading, _INK, _font(15, bold=True))
    y = top
    for row, row_tiles, row_height in zip(rows, tiles, heights, strict=True):
        for column, tile in enumerate(row_tiles):
            sheet.paste(Image.fromarray(tile), (_MARGIN + column * (_TILE_WIDTH + _GAP), y))
        draw.text((_MARGIN, y + row_height + 6), _caption(row, len(labels)), _FAINT, _font(13))
        y += row_height + _CAPTION + _GAP
    for line in legend:
        for left, class_id in line:
            draw.rectangle((left, y + 3, left + 17, y + 20), labels.labels[class_id].rgb, outline=_FAINT)
            draw.text((left + 26, y + 2), labels.names[class_id], _INK, _font(15))
        y += 34
    return np.asarray(sheet, np.uint8)


def _spread(frames: LabelledFrames, count: int) -> Iterator[LabelledFrame]:
    total = len(frames)
    wanted = {position * total // min(count, total) for position in range(min(count, total))}
    for index, frame in enumerate(frames):
        if index in wanted:
            yield frame
        if index >= max(wanted):
            return


def _tiles(row: ContactRow, labels: LabelMap) -> list[_Image]:
    """Returns the row's images at the frame's own size, RGB."""
    palette_rgb = labels.palette_rgb()
    frame = row.frame.frame_bgr
    overlay = Overlay(labels).blend(frame, row.classes)
    tiles = [frame[..., ::-1], palette_rgb[row.classes], overlay[..., ::-1]]
    if row.truth:
        tiles.insert(1, palette_rgb[row.frame.mask])
    return [np.ascontiguousarray(tile) for tile in tiles]


def _fit(image: _Image) -> _Image:
    height, width = image.shape[:2]
    size = (_TILE_WIDTH, max(1, round(height * _TILE_WIDTH / width)))
    shrink = cv2.INTER_AREA if width > _TILE_WIDTH else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=shrink), np.uint8)


def _caption(row: ContactRow, num_classes: int) -> str:
    if not row.truth:
        return row.frame.id
    matrix = ConfusionMatrix(num_classes)
    matrix.update(row.frame.mask, row.classes)
    if not np.any(row.frame.mask != VOID):
        return f"{row.frame.id}: all void"
    return f"{row.frame.id}: mIoU {matrix.miou:.3f}, {matrix.pixel_accuracy:.1%} of the pixels right"


def _legend_lines(labels: LabelMap, width: int) -> list[list[tuple[int, int]]]:
    """Arranges the legend's classes in lines: the left edge and the class id of each."""
    font = _font(15)
    lines: list[list[tuple[int, int]]] = [[]]
    left = 0
    for class_id, name in enumerate(labels.names):
        room = 26 + round(font.getlength(name)) + 28
        if lines[-1] and left + room > width:
            lines.append([])
            left = 0
        lines[-1].append((_MARGIN + left, class_id))
        left += room
    return lines


def _font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    # Matplotlib ships this font, so the sheet looks the same on every machine.
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size_px)
