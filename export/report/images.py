"""The images of a verification report, rendered and encoded frame by frame."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.labels import VOID, LabelMap
from ..verification.frames import LabelledFrame
from ..verification.parity import REAL, TIE

TIE_RGB = (255, 190, 40)
REAL_RGB = (255, 40, 110)
WRONG_RGB = (70, 170, 255)
_WIDTH = 480
_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VariantImages:
    """The images of one variant's class map of a frame.

    Attributes:
        mask_png: its class map in the label map's colours.
        difference_png: the pixels that differ from the reference, over the darkened frame.
        tie_share, real_share: shares of the frame's pixels.
    """

    mask_png: bytes
    difference_png: bytes
    tie_share: float
    real_share: float


@dataclass(frozen=True)
class FrameImages:
    """One frame's part of the report: encoded images, at most 480 pixels wide.

    Attributes:
        id: of the frame.
        frame_jpeg: the frame.
        reference_png: PyTorch's class map.
        truth_png, wrong_png: the labels, and the pixels where PyTorch differs from them; None without truth.
        variants: by name.
    """

    id: str
    frame_jpeg: bytes
    reference_png: bytes
    truth_png: bytes | None
    wrong_png: bytes | None
    variants: Mapping[str, VariantImages]


@dataclass(frozen=True)
class ComparedMask:
    """A variant's class map of one frame, and the kind of each pixel, both uint8 [H, W]."""

    classes: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.uint8]


class Gallery:
    """The images of the first frame and of the frames that differ most; a fixed number of frames.

    Args:
        labels: the network's classes, for their colours.
        size: the largest number of frames.
    """

    def __init__(self, labels: LabelMap, size: int = 6) -> None:
        self._palette_rgb = labels.palette_rgb()
        self._size = size
        self._seen = 0
        self._kept: list[tuple[tuple[float, float], int, FrameImages]] = []

    def add(
        self,
        frame: LabelledFrame,
        reference: npt.NDArray[np.uint8],
        variants: Mapping[str, ComparedMask],
        *,
        has_truth: bool,
    ) -> None:
        """Keeps the images of a frame if it differs enough.

        Args:
            frame: the frame with its mask.
            reference: uint8 [H, W], the reference's class map.
            variants: by name.
            has_truth: whether the frame's mask has the network's classes.
        """
        shares = {name: _shares(mask.kinds) for name, mask in variants.items()}
        # The first frame always stays, so that the report also shows an ordinary one.
        rank = (2.0, 0.0) if self._seen == 0 else max(shares.values(), default=(0.0, 0.0))
        order = (rank, -self._seen)
        self._seen += 1
        if len(self._kept) == self._size and order <= (self._kept[0][0], self._kept[0][1]):
            return
        images = FrameImages(
            id=frame.id,
            frame_jpeg=_encode(_fit(frame.frame_bgr, cv2.INTER_AREA), ".jpg"),
            reference_png=self._mask_png(reference),
            truth_png=self._mask_png(frame.mask) if has_truth else None,
            wrong_png=_encode(_wrong_map(frame, reference), ".png") if has_truth else None,
            variants={
                name: VariantImages(
                    mask_png=self._mask_png(mask.classes),
                    difference_png=_encode(difference_map(frame.frame_bgr, mask.kinds), ".png"),
                    real_share=shares[name][0],
                    tie_share=shares[name][1],
                )
                for name, mask in variants.items()
            },
        )
        push = heapq.heappush if len(self._kept) < self._size else heapq.heappushpop
        push(self._kept, (*order, images))

    def frames(self) -> tuple[FrameImages, ...]:
        """The frames that were kept: the first one, then those that differ most."""
        return tuple(entry[2] for entry in sorted(self._kept, key=lambda entry: entry[:2], reverse=True))

    def _mask_png(self, classes: npt.NDArray[np.uint8]) -> bytes:
        rgb = self._palette_rgb[_fit(classes, cv2.INTER_NEAREST)]
        return _encode(np.ascontiguousarray(rgb[..., ::-1]), ".png")


def difference_map(frame_bgr: _Image, kinds: npt.NDArray[np.uint8]) -> _Image:
    """Paints ties and real disagreements over the darkened frame: uint8 [H, W, 3], BGR, at most 480 wide."""
    image = _backdrop(frame_bgr)
    for kind, rgb in ((TIE, TIE_RGB), (REAL, REAL_RGB)):
        # Three pixels wide, so that a single pixel stays visible in a small image.
        _paint(image, np.equal(kinds, kind), rgb, width=3)
    return image


def _wrong_map(frame: LabelledFrame, reference: npt.NDArray[np.uint8]) -> _Image:
    image = _backdrop(frame.frame_bgr)
    _paint(image, (reference != frame.mask) & (frame.mask != VOID), WRONG_RGB, width=1)
    return image


def _backdrop(frame_bgr: _Image) -> _Image:
    grey = cv2.cvtColor(_fit(frame_bgr, cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(24 + grey // 3, cv2.COLOR_GRAY2BGR), np.uint8)


def _paint(image: _Image, where: npt.NDArray[np.bool_], rgb: tuple[int, int, int], width: int) -> None:
    height_px, width_px = image.shape[:2]
    rows, columns = np.nonzero(where)
    marks = np.zeros((height_px, width_px), np.uint8)
    marks[rows * height_px // where.shape[0], columns * width_px // where.shape[1]] = 1
    image[cv2.dilate(marks, np.ones((width, width), np.uint8)) > 0] = rgb[::-1]


def _shares(kinds: npt.NDArray[np.uint8]) -> tuple[float, float]:
    counts = np.bincount(kinds.ravel(), minlength=VOID + 1)
    return float(counts[REAL] / kinds.size), float(counts[TIE] / kinds.size)


def _fit(image: _Image, interpolation: int) -> _Image:
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return image
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def _encode(image_bgr: _Image, suffix: str) -> bytes:
    done, encoded = cv2.imencode(suffix, image_bgr)
    assert done
    return encoded.tobytes()
