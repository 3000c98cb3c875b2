"""Text and panels on an image, in sizes that follow the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..core.arrays import Frame
from ..core.native_name import native_text

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
GREY: Colour = (200, 200, 200)
RED: Colour = (70, 70, 240)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PANEL: Colour = (30, 26, 24)
_PANEL_OPACITY = 0.68


class LegendRow(NamedTuple):
    """A line of a legend: a colour (BGR), a name and a value. No colour box is drawn if the colour is None."""

    colour: Colour | None
    name: str
    value: str


class Painter:
    """Paints on an image, in place.

    Args:
        canvas_bgr: the image, uint8 [H, W, 3].
    """

    def __init__(self, canvas_bgr: Frame) -> None:
        self._canvas = canvas_bgr
        text_px = float(np.clip(min(canvas_bgr.shape[:2]) / 34, 10, 34))
        self._scale = text_px / 22  # the font's capitals are 22 pixels high at scale 1
        self._stroke = max(1, round(text_px / 14))
        self._text_px = round(text_px)
        self._line_px = round(text_px * 1.75)
        self._pad_px = round(text_px * 0.85)

    @property
    def legend_room(self) -> int:
        """The largest number of rows of a legend, which leaves a quarter of the image's height free."""
        return max(1, int(self._canvas.shape[0] * 0.75 - 2 * self._pad_px) // self._line_px)

    def legend(self, rows: Sequence[LegendRow]) -> None:
        """Paints a legend into the upper left corner."""
        if not rows:
            return
        chip, gap = round(self._text_px * 1.1), round(self._text_px * 0.7)
        name_px = max(self._width(row.name) for row in rows)
        value_px = max(self._width(row.value) for row in rows)
        width = 2 * self._pad_px + chip + gap + name_px + 2 * gap + value_px
        height = 2 * self._pad_px + self._line_px * len(rows) - (self._line_px - self._text_px)
        left = top = self._pad_px
        self._panel(left, top, width, height)
        for index, row in enumerate(rows):
            baseline = top + self._pad_px + self._text_px + index * self._line_px
            x, y = left + self._pad_px, baseline - (self._text_px + chip) // 2
            if row.colour is not None:
                cv2.rectangle(self._canvas, (x, y), (x + chip, y + chip), row.colour, cv2.FILLED, cv2.LINE_AA)
                cv2.rectangle(self._canvas, (x, y), (x + chip, y + chip), GREY, 1, cv2.LINE_AA)
            self._text(row.name, x + chip + gap, baseline, WHITE if row.colour else GREY)
            self._text(row.value, left + width - self._pad_px - self._width(row.value), baseline, GREY)

    def badge(self, texts: Sequence[str]) -> None:
        """Paints lines of text into the upper right corner, each on a panel of its own."""
        top = self._pad_px
        for text in texts:
            width = self._width(text) + 2 * self._pad_px
            self._one_line(text, self._canvas.shape[1] - width - self._pad_px, top, WHITE)
            top += self._text_px + 3 * self._pad_px

    def notice(self, *texts: str) -> None:
        """Paints a line of red text into the middle: the first of the texts that fits, else the last."""
        room = self._canvas.shape[1] - 2 * self._pad_px
        text = next((text for text in texts if self._width(text) <= room), texts[-1])
        width, height = self._width(text) + 2 * self._pad_px, self._text_px + 2 * self._pad_px
        self._one_line(text, (self._canvas.shape[1] - width) // 2, (self._canvas.shape[0] - height) // 2, RED)

    def strike(self) -> None:
        """Crosses out the whole image."""
        height, width = self._canvas.shape[:2]
        for start, end in (((0, 0), (width - 1, height - 1)), ((width - 1, 0), (0, height - 1))):
            cv2.line(self._canvas, start, end, RED, 2 * self._stroke, cv2.LINE_AA)

    def _one_line(self, text: str, left: int, top: int, colour: Colour) -> None:
        self._panel(left, top, self._width(text) + 2 * self._pad_px, self._text_px + 2 * self._pad_px)
        self._text(text, left + self._pad_px, top + self._pad_px + self._text_px, colour)

    def _width(self, text: str) -> int:
        return int(cv2.getTextSize(native_text(text), _FONT, self._scale, self._stroke)[0][0])

    def _text(self, text: str, left: int, baseline: int, colour: Colour) -> None:
        cv2.putText(
            self._canvas, native_text(text), (left, baseline), _FONT, self._scale, colour, self._stroke,
            cv2.LINE_AA,
        )  # fmt: skip

    def _panel(self, left: int, top: int, width: int, height: int) -> None:
        """Darkens a rectangle with round corners, cut at the edges of the image."""
        right, bottom = min(left + width, self._canvas.shape[1]), min(top + height, self._canvas.shape[0])
        left, top = max(left, 0), max(top, 0)
        radius = min(self._pad_px, (right - left) // 2, (bottom - top) // 2)
        if radius <= 0:
            return
        shape = np.zeros((bottom - top, right - left), np.uint8)
        cv2.rectangle(shape, (radius, 0), (right - left - radius - 1, bottom - top - 1), 255, cv2.FILLED)
        cv2.rectangle(shape, (0, radius), (right - left - 1, bottom - top - radius - 1), 255, cv2.FILLED)
        for x in (radius, right - left - radius - 1):
            for y in (radius, bottom - top - radius - 1):
                cv2.circle(shape, (x, y), radius, 255, cv2.FILLED)
        behind = self._canvas[top:bottom, left:right]
        panel = np.full_like(behind, _PANEL)
        cv2.copyTo(cv2.addWeighted(behind, 1 - _PANEL_OPACITY, panel, _PANEL_OPACITY, 0), shape, behind)
