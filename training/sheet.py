"""The sheet of validation images: what the network sees, should see and gets wrong, after some epochs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..core.labels import VOID, LabelMap
from ..core.outputs import write_atomically
from ..data.contact_sheet import SheetRow, draw_sheet, score
from ..data.images import spread
from ..data.voc import Sample, VocDataset
from .evaluate import Predictor
from .folder import SHEETS

HEADINGS = ("frame", "label", "prediction", "error")
_ROWS = 5
_WRONG_RGB = (255, 40, 110)
_JPEG_QUALITY = 90

_Image = npt.NDArray[np.uint8]


def sheet_path(out: Path, epoch: int) -> Path:
    """Returns the file of an epoch's sheet in the folder of a training."""
    return out / SHEETS / f"epoch-{epoch:03d}.jpg"


def draw_validation(predict: Predictor, dataset: VocDataset, title: str, note: str) -> _Image:
    """Segments a few evenly spaced images of a split, and draws them, uint8 [H, W, 3] RGB.

    Args:
        predict: the network.
        dataset: the split.
        title: the heading.
        note: a line below the heading.

    Raises:
        DataError: an image can no longer be read.
        TrainingError: the network's logits are not finite.
    """
    rows = []
    for index in spread(len(dataset), _ROWS):
        sample = dataset.read(index)
        rows.append(_row(sample, predict(sample), dataset.labels))
    return draw_sheet(rows, HEADINGS, dataset.labels, title, note)


def write_sheet(path: Path, sheet_rgb: _Image) -> None:
    """Writes a sheet as a JPEG, whole or not at all. An existing file is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    sheet_bgr = cv2.cvtColor(sheet_rgb, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", sheet_bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    write_atomically(path, encoded.tobytes(), force=True)


def error_map(sample: Sample, classes: npt.NDArray[np.uint8]) -> _Image:
    """Paints the wrong pixels over the darkened frame, uint8 [H, W, 3] RGB. Void pixels are never wrong."""
    grey = 24 + cv2.cvtColor(np.ascontiguousarray(sample.frame_bgr), cv2.COLOR_BGR2GRAY) // 3
    image = np.repeat(grey[..., None], 3, axis=2)
    image[(classes != sample.mask) & (sample.mask != VOID)] = _WRONG_RGB
    return np.asarray(image, np.uint8)


def _row(sample: Sample, classes: npt.NDArray[np.uint8], labels: LabelMap) -> SheetRow:
    palette_rgb = labels.palette_rgb()
    tiles = (
        sample.frame_bgr[..., ::-1],
        palette_rgb[sample.mask],
        palette_rgb[classes],
        error_map(sample, classes),
    )
    return SheetRow(tiles, f"{sample.id}: {score(sample.mask, classes, len(labels))}")
