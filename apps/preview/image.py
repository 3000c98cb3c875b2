"""One output in the form for viewers. It is made once, on first use, and never in the pipeline's threads."""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame
from ...core.errors import OutputError
from ...core.labels import VOID, LabelMap
from ...runtime.findings import Finding
from ...runtime.overlay import Overlay
from ...runtime.reasons import MEANING
from ...runtime.result import Segmentation
from ...runtime.sinks.base import Output

MOST_WIDTH_PX = 960
_MOST_HEIGHT_PX = 960
_JPEG_QUALITY = 80
_DEFLATE_LEVEL = 1
_RAW_DEFLATE = -15


@dataclass(frozen=True)
class Packet:
    """The data that a page draws from.

    Attributes:
        head: facts on the frame and its result, ready for JSON.
        jpeg: the frame.
        classes: the class map, uint8 [height, width], deflated; empty if the result is not valid.
    """

    head: dict[str, Any]
    jpeg: bytes
    classes: bytes


class PreviewImage:
    """An output and its forms for viewers.

    Args:
        output: its arrays are held as long as this object.
        labels: the classes.
        before: the image before this one, whose JPEG is used again if the frame is the same.
    """

    def __init__(self, output: Output, labels: LabelMap, before: PreviewImage | None = None) -> None:
        self.output = output
        self._labels = labels
        self._lock = threading.Lock()
        self._jpeg = b""
        self._packet: Packet | None = None
        self._drawn = b""
        if before is not None and before.output.frame_bgr is output.frame_bgr:
            self._jpeg = before._jpeg

    def packet(self) -> Packet:
        """The frame and its class map, both reduced to screen size."""
        with self._lock:
            if self._packet is None:
                self._packet = self._pack()
            return self._packet

    def drawn(self) -> bytes:
        """The overlay, as a JPEG."""
        with self._lock:
            if not self._drawn:
                result = self.output.result
                frame_bgr = _shrunk(self.output.frame_bgr)
                small = Segmentation(
                    _shrunk_classes(result.classes, frame_bgr.shape[:2]),
                    valid=result.valid,
                    reason=result.reason,
                    findings=result.findings,
                )
                self._drawn = _jpeg(Overlay(self._labels).draw(frame_bgr, small, self.output.shares))
            return self._drawn

    def struck(self, reason: str) -> Output:
        """An output that marks this image as no longer valid."""
        result = self.output.result
        void = Segmentation(
            np.full(result.classes.shape, VOID, np.uint8),
            result.frame_id,
            result.captured_at,
            valid=False,
            reason=reason,
            findings=result.withdrawn_findings(),
        )
        frame_bgr, shares = self.output.frame_bgr, np.zeros(len(self._labels))
        return Output(
            frame_bgr,
            void,
            self.output.name,
            lambda: Overlay(self._labels).draw(frame_bgr, void, shares),
            self.output.source,
            shares,
            beat=True,
            finished_at=self.output.finished_at,
        )

    def _pack(self) -> Packet:
        output, result = self.output, self.output.result
        frame_bgr = _shrunk(output.frame_bgr)
        if not self._jpeg:
            self._jpeg = _jpeg(frame_bgr)
        classes = b""
        if result.valid:
            deflate = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, _RAW_DEFLATE)
            small = _shrunk_classes(result.classes, frame_bgr.shape[:2])
            classes = deflate.compress(small.data) + deflate.flush()
        head = {
            "frame_id": result.frame_id,
            "valid": result.valid,
            "reason": result.reason,
            "meaning": MEANING.get(result.reason, result.reason),
            "beat": output.beat,
            "name": output.name,
            "height": frame_bgr.shape[0],
            "width": frame_bgr.shape[1],
            "frame_hw": list(output.frame_bgr.shape[:2]),
            "shares": [round(float(share), 4) for share in output.shares] if result.valid else [],
            "outlines": [line for finding in result.findings.values() for line in _lines(finding)],
            "jpeg_bytes": len(self._jpeg),
        }
        return Packet(head, self._jpeg, classes)


def _lines(finding: Finding) -> list[dict[str, Any]]:
    """Returns a finding's outlines ready for JSON; those with points that are not finite are left out."""
    return [
        {
            "points": np.round(outline.points, 4).tolist(),
            "closed": outline.closed,
            "bold": outline.bold,
            "valid": finding.valid,
        }
        for outline in finding.outlines()
        if np.isfinite(outline.points).all()
    ]


def _shrunk(frame_bgr: Frame) -> Frame:
    height, width = frame_bgr.shape[:2]
    scale = min(1.0, MOST_WIDTH_PX / width, _MOST_HEIGHT_PX / height)
    if scale == 1.0:
        return frame_bgr
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Linear and not by area: it costs a third, and the loss is not visible in motion.
    return np.asarray(cv2.resize(frame_bgr, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def _shrunk_classes(classes: npt.NDArray[np.uint8], size_hw: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if classes.shape == size_hw:
        return np.ascontiguousarray(classes)
    small = cv2.resize(classes, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.uint8)


def _jpeg(frame_bgr: Frame) -> bytes:
    done, data = cv2.imencode(".jpg", frame_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise OutputError("OpenCV cannot encode a JPEG")
    return data.tobytes()
