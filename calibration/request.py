"""The request for a calibration, and the job that it becomes with a network and a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.callbacks import OnMessage
from ..core.errors import DataError, UsageError
from ..core.labels import LabelMap
from .graph import Graph
from .images import check_source
from .placement import TARGETS, check_target
from .ranges import METHODS
from .record import CalibrationRecord
from .trials import Notify


@dataclass(frozen=True)
class CalibrationRequest:
    """A request for a calibration.

    Attributes:
        source: a data set's folder or ``aerial:SEED``; None to use existing ranges.
        ranges: a calibration file to use; None for the one in the working folder, or the one that ships.
        method: one of ``METHODS``, or ``auto`` for the one that measures best.
        images: the number of images; None for ``DEFAULT_IMAGES``.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        correct_biases: whether the search may correct biases.
        exclude: an exclusion list to use unchanged, instead of the search.
        targets: some of ``TARGETS``.
    """

    source: str | None = None
    ranges: Path | None = None
    method: str = "auto"
    images: int | None = None
    budget: float = 0.5
    class_budget: float = 1.0
    correct_biases: bool = True
    exclude: Path | None = None
    targets: tuple[str, ...] = TARGETS

    def check(self) -> None:
        """Checks the values early, before a network is exported.

        Raises:
            UsageError: a value is unknown or out of range.
            DataError: a folder or file is missing.
        """
        for target in self.targets:
            check_target(target)
        if self.method not in (*METHODS, "auto"):
            raise UsageError(f"unknown calibration method {self.method!r}; known: auto, {', '.join(METHODS)}")
        for name, value in (("--budget", self.budget), ("--class-budget", self.class_budget)):
            if not value >= 0:
                raise UsageError(f"{name} {value:g}: expected points of IoU, 0 or more")
        if self.images is not None and self.images < 2:
            raise UsageError(
                f"--calibration-images {self.images}: expected at least 2, one for the ranges and one held out"
            )
        if self.images is not None and self.source is None:
            raise UsageError("--calibration-images says how many to calibrate on; name them with --calibrate")
        if self.source is not None:
            check_source(self.source)
        for path in (self.ranges, self.exclude):
            if path is not None and not path.is_file():
                raise DataError(f"there is no file {path}")


@dataclass(frozen=True)
class CalibrationJob:
    """One calibration: of what, how, where its files go, and who is told.

    Attributes:
        graph: float32.
        labels: the network's classes.
        request: how to calibrate.
        folder: for the files; made if it is missing.
        shipped: the calibration that came with the weights.
        unseen: name and pixels, uint8 [H, W, 3], of the frames for verification: none may be used for calibration.
        notify: called with the progress.
        on_message: called with lines on the quality of the images, and on what is reused or measured again and why.
    """

    graph: Graph
    labels: LabelMap
    request: CalibrationRequest
    folder: Path
    shipped: CalibrationRecord | None = None
    unseen: Iterable[tuple[str, npt.NDArray[np.uint8]]] = ()
    notify: Notify = lambda text, done, total: None
    on_message: OnMessage = lambda text: None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods to measure ranges by."""
        return METHODS if self.request.method == "auto" else (self.request.method,)
