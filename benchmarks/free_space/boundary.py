"""The judge of the boundary of free space. It shares no code with what it judges.

Where the truth is void, nobody said what is there. Such a column has no one true row but a span of rows: from the first
pixel that is not labelled as drivable, to the first that is labelled as something else. Within the span any boundary is
right; an error is the distance to the span.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap
from ...core.labels import VOID

UNSAFE_PX = 5
"""Free space that reaches this many pixels too far is not counted as unsafe: labels are no better at edges."""

Rows = npt.NDArray[np.int64]


def true_span(mask: ClassMap, drivable: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Returns between which rows the boundary of each column is, int64 [W] each: the lowest and the highest.

    -1 stands for the row above the frame: the column is drivable to the top.

    Args:
        mask: uint8 [H, W], the truth.
        drivable: bool [256], by class id.
    """
    lowest, highest = (np.full(mask.shape[1], -1, np.int64) for _ in range(2))
    for row in range(len(mask)):  # from the top, so that the last one written is the lowest in the frame
        line = mask[row]
        known = line != VOID
        lowest[~(drivable[line] & known)] = row
        highest[~drivable[line] & known] = row
    return lowest, highest


@dataclass
class BoundaryTally:
    """The errors of the boundary over many frames.

    Attributes:
        errors_px: of each frame, int64 [W]: above 0 where the free space reaches too far, below 0 where it ends early.
        vague: number of columns with a span of more than ``UNSAFE_PX`` rows.
        unsafe: number of columns that reach more than ``UNSAFE_PX`` rows beyond what is surely not drivable.
        passed: number of unsafe columns, by the class that was passed over.
    """

    errors_px: list[Rows] = field(default_factory=list)
    vague: int = 0
    unsafe: int = 0
    passed: Counter[int] = field(default_factory=Counter)

    def add(self, mask: ClassMap, drivable: npt.NDArray[np.bool_], rows: Rows) -> None:
        """Adds a frame.

        Args:
            mask: uint8 [H, W], the truth.
            drivable: bool [256], by class id.
            rows: int64 [W], the boundary that is judged; -1 where the column is said to be drivable to the top.
        """
        lowest, highest = true_span(mask, drivable)
        self.errors_px.append(np.where(rows > lowest, lowest - rows, np.maximum(0, highest - rows)))
        self.vague += int((lowest - highest > UNSAFE_PX).sum())
        unsafe = np.flatnonzero(highest - rows > UNSAFE_PX)
        self.unsafe += len(unsafe)
        self.passed.update(mask[highest[unsafe], unsafe].tolist())

    @property
    def columns(self) -> int:
        """The number of columns."""
        return sum(len(errors) for errors in self.errors_px)

    def percentile(self, share: float) -> float:
        """Returns the size of the error, in pixels, that this share of the columns (0 to 100) does not exceed."""
        return float(np.percentile(np.abs(np.concatenate(self.errors_px)), share))

    @property
    def unsafe_share(self) -> float:
        """The share of the columns that are unsafe."""
        return self.unsafe / max(1, self.columns)

    @property
    def early_share(self) -> float:
        """The share of the columns whose free space ends more than ``UNSAFE_PX`` rows too early."""
        early = sum(int((errors < -UNSAFE_PX).sum()) for errors in self.errors_px)
        return early / max(1, self.columns)
