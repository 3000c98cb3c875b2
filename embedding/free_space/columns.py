"""The boundary of free space in a class map: in each column, the first pixel from below that is not drivable."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import ClassMap
from ...core.errors import UsageError
from ...core.labels import LabelMap

DRIVABLE, OBSTACLE, UNKNOWN = range(3)
"""What a pixel is for a vehicle. Unknown is void, which may be anything."""

Kinds = npt.NDArray[np.uint8]
"""``DRIVABLE``, ``OBSTACLE`` or ``UNKNOWN``, of the shape that its user names."""


def kinds_of(labels: LabelMap, drivable: Iterable[str]) -> Kinds:
    """Returns the look-up table uint8 [256] from class id to kind. Ids without a class, void among them, are unknown.

    Args:
        labels: the classes of the network.
        drivable: names of the classes that may be driven on.

    Raises:
        UsageError: there is no name, or one is not a class of the network.
    """
    names = tuple(drivable)
    if not names:
        raise UsageError("no class may be driven on; name at least one, such as road")
    if missing := [name for name in names if name not in labels.names]:
        raise UsageError(f"{missing[0]!r} is not a class of the network; it knows {', '.join(labels.names)}")
    table = np.full(256, UNKNOWN, np.uint8)
    table[: len(labels.names)] = [DRIVABLE if name in names else OBSTACLE for name in labels.names]
    return table


def turned_kinds(classes: ClassMap, table: Kinds) -> Kinds:
    """Returns the kinds of a class map turned to the right, uint8 [W, H].

    Row c is the column c of the frame, from its lowest pixel to its highest. So a column lies in one piece in memory.

    Args:
        classes: uint8 [H, W].
        table: of :func:`kinds_of`.
    """
    return np.asarray(cv2.rotate(cv2.LUT(classes, table), cv2.ROTATE_90_CLOCKWISE), np.uint8)


def boundary_of(turned: Kinds, bonnet_px: int = 0) -> tuple[npt.NDArray[np.int32], Kinds]:
    """Finds the first pixel from below that is not drivable, in each column of a frame.

    Args:
        turned: of :func:`turned_kinds`, uint8 [W, H].
        bonnet_px: rows at the lower edge of the frame that show the vehicle itself, and are passed over.

    Returns:
        Its row int32 [W], counted from the top as in the frame, -1 if the column is drivable to the top; and its kind
        uint8 [W], which is then ``DRIVABLE``.
    """
    first = (turned[:, bonnet_px:] != DRIVABLE).argmax(axis=1)
    kinds = turned[np.arange(len(turned)), first + bonnet_px]
    rows = np.where(kinds == DRIVABLE, -1, turned.shape[1] - 1 - bonnet_px - first)
    return rows.astype(np.int32), kinds
