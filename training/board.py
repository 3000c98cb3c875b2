"""Curves and sheets for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import MissingDependencyError, OutputError


def check_installed() -> None:
    """Checks that TensorBoard's writer can be imported.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("tensorboard", "tensorboard", "--tensorboard") from error


class TensorBoardLog:
    """Writes a training's figures for TensorBoard, by epoch.

    Args:
        folder: of the files; an earlier run's files in it are continued.
        epochs_done: the epochs of a resumed run. TensorBoard drops what came after them.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, epochs_done: int) -> None:
        check_installed()
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        with self._writable():
            self._writer: Any = SummaryWriter(folder, purge_step=epochs_done + 1)

    def add(self, entry: Mapping[str, Any], sheet_rgb: npt.NDArray[np.uint8] | None) -> None:
        """Adds an epoch.

        Args:
            entry: its entry in the log.
            sheet_rgb: uint8 [H, W, 3], its validation sheet, or None.

        Raises:
            OutputError: it cannot be written.
        """
        epoch = int(entry["epoch"])
        with self._writable():
            for name, value in scalars(entry).items():
                self._writer.add_scalar(name, value, epoch)
            if sheet_rgb is not None:
                self._writer.add_image("val/sheet", sheet_rgb, epoch, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Closes the files.

        Raises:
            OutputError: the last figures cannot be written.
        """
        with self._writable():
            self._writer.close()

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write {self._folder}: {error.strerror or error}") from error


def scalars(entry: Mapping[str, Any]) -> dict[str, float]:
    """Returns the curves of a log's entry by name. A class that is absent has no point."""
    found = {
        f"train/{name}": entry.get(name) for name in ("loss", "learning_rate", "train_seconds", "data_share")
    }
    measured = entry.get("val") or {}
    found["val/mIoU"] = measured.get("miou")
    found["val/pixel accuracy"] = measured.get("pixel_accuracy")
    found |= {f"IoU/{name}": iou for name, iou in measured.get("per_class_iou", {}).items()}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}
