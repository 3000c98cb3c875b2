"""A contact sheet: one image with a row of tiles for each frame, and the legend of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..core.labels import VOID, LabelMap
from .metrics import ConfusionMatrix

_TILE_WIDTH = 300
_GAP = 10
_MARGIN = 36
_CAPTION = 30
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 30, 34), (112, 116, 124)

_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SheetRow:
    """The row of one frame.

    Attributes:
        tiles_rgb: one for each heading, each uint8 [H, W, 3] of one size.
        caption: the line below them.
    """

    tiles_rgb: Sequence[_Image]
    caption: str


def draw_sheet(
    rows: Sequence[SheetRow], headings: Sequence[str], labels: LabelMap, title: str, note: str
) -> _Image:
    """Draws a sheet.

    Args:
        rows: at least one.
        headings: of the columns.
        labels: the classes, for the legend.
        title: the heading of the sheet.
        note: a line below it.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    tiles = [[_fit(tile) for tile in row.tiles_rgb] for row in rows]
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
        draw.text((_MARGIN, y + row_height + 6), row.caption, _FAINT, _font(13))
        y += row_height + _CAPTION + _GAP
    for line in legend:
        for left, class_id in line:
            draw.rectangle((left, y + 3, left + 17, y + 20), labels.labels[class_id].rgb, outline=_FAINT)
            draw.text((left + 26, y + 2), labels.names[class_id], _INK, _font(15))
        y += 34
    return np.asarray(sheet, np.uint8)


def score(mask: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8], num_classes: int) -> str:
    """Returns the figures of one frame for its caption.

    Args:
        mask: uint8 [H, W], the truth; 255 is void.
        classes: uint8 [H, W], the prediction.
        num_classes: C.
    """
    if not np.any(mask != VOID):
        return "all void"
    matrix = ConfusionMatrix(num_classes)
    matrix.update(mask, classes)
    return f"mIoU {matrix.miou:.3f}, {matrix.pixel_accuracy:.1%} of the pixels right"


def _fit(image: _Image) -> _Image:
    height, width = image.shape[:2]
    size = (_TILE_WIDTH, max(1, round(height * _TILE_WIDTH / width)))
    shrink = cv2.INTER_AREA if width > _TILE_WIDTH else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=shrink), np.uint8)


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
