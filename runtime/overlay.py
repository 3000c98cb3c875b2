"""The overlay: a segmentation drawn over its frame, with blended colours, class borders, a legend and a status."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..core.arrays import Frame
from ..core.labels import VOID, LabelMap
from .painter import LegendRow, Painter
from .result import Segmentation

_BLEND = 0.5
_BORDER_BRIGHTNESS = 0.45
_LEAST_SHARE = 0.001
_SMALLEST_SIDE_FOR_TEXT_PX = 160


class Overlay:
    """Draws overlays for one label map. The size of text and lines follows the frame's size.

    Args:
        labels: the classes, in order of their ids.
    """

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._palette_bgr = labels.palette_rgb()[:, None, ::-1].copy()  # [256, 1, 3] for applyColorMap

    def draw(
        self, frame_bgr: Frame, result: Segmentation, shares: npt.NDArray[np.float64], status: str = ""
    ) -> Frame:
        """Draws a result over its frame.

        Void pixels do not change. Findings draw themselves; their captions and warnings follow the status. For a
        result that is not valid, the frame is grey and crossed out, with the reason.

        Args:
            frame_bgr: uint8 [H, W, 3].
            result: the frame's result, of the same size.
            shares: the share of the frame that each class covers, float64 [C], each 0 to 1.
            status: a short text for the corner, such as the frame rate; empty for none.

        Returns:
            uint8 [H, W, 3], BGR, a new array.
        """
        canvas = self.blend(frame_bgr, result.classes) if result.valid else _grey(frame_bgr)
        for finding in result.findings.values():
            finding.draw(canvas)
        painter = Painter(canvas)
        if not result.valid:
            painter.strike()
        if min(canvas.shape[:2]) < _SMALLEST_SIDE_FOR_TEXT_PX:
            return canvas
        if result.valid:
            painter.legend(self._rows(shares, painter.legend_room))
        else:
            painter.notice(f"no valid result: {result.reason}", result.reason)
        lines = [line for each in result.findings.values() for line in (each.caption, each.warning)]
        painter.badge([*filter(None, [status, *lines])])
        return canvas

    def blend(self, frame_bgr: Frame, classes: npt.NDArray[np.uint8]) -> Frame:
        """Mixes the class colours into a frame, with darker borders between classes.

        Args:
            frame_bgr: uint8 [H, W, 3].
            classes: uint8 [H, W].

        Returns:
            uint8 [H, W, 3], BGR, a new array.
        """
        colours = cv2.applyColorMap(classes, self._palette_bgr)
        blended = cv2.addWeighted(frame_bgr, 1 - _BLEND, colours, _BLEND, 0)
        width = 2 + min(classes.shape) // 500
        border = cv2.morphologyEx(classes, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8))
        cv2.copyTo(cv2.convertScaleAbs(blended, alpha=_BORDER_BRIGHTNESS), border, blended)
        cv2.copyTo(frame_bgr, (classes == VOID).view(np.uint8), blended)
        return np.asarray(blended, np.uint8)

    def _rows(self, shares: npt.NDArray[np.float64], room: int) -> list[LegendRow]:
        """Returns the rows of visible classes, in order of their ids, so that rows do not move between frames."""
        present = np.flatnonzero(shares >= _LEAST_SHARE)
        shown = present
        if len(present) > room:
            shown = np.sort(present[np.argsort(-shares[present], kind="stable")][: room - 1])
        rows = []
        for class_id in shown.tolist():
            blue, green, red = self._palette_bgr[class_id, 0].tolist()
            name = self._labels.names[class_id]
            rows.append(LegendRow((blue, green, red), name, f"{shares[class_id]:.1%}"))
        if len(shown) < len(present):
            rest = set(present.tolist()) - set(shown.tolist())
            rows.append(LegendRow(None, f"{len(rest)} more", f"{shares[sorted(rest)].sum():.1%}"))
        return rows


def _grey(frame_bgr: Frame) -> Frame:
    grey = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(grey, alpha=0.6), cv2.COLOR_GRAY2BGR), np.uint8)
