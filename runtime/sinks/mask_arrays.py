"""Class maps as compressed NumPy arrays, one file for each segment."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import OutputError
from ...core.labels import LabelMap
from ...core.outputs import discard
from .base import Output, Sink
from .disk import check_room
from .masks import open_folder_of
from .series import Series

_NAME = "masks.npz"
_MOST_BYTES = 32 << 20
"""Of class maps held in memory, uncompressed, until their file is written; at 20 frames of 640 x 480 a second, 5 s."""
_COMPRESSION = 1  # class maps are so regular that higher levels cost time and save little


class MaskArraysSink(Sink):
    """Writes class maps to a folder of ``masks-000001.npz`` and on, beside ``labelmap.txt``.

    Each file holds ``classes`` uint8 [N, H, W] (void where not valid), ``frame_id`` int64 [N], ``captured_at`` float64
    [N] (seconds of :func:`edgeseg.now`), ``valid`` bool [N], and the text arrays ``reason`` and ``name`` [N];
    ``numpy.load(path, allow_pickle=False)`` reads it. A file gets its name once it is whole and on the disk: a power
    cut loses at most the segment in memory. Numbers continue after a restart. A change of size begins a new file.

    Args:
        folder: a new folder, or one of the same classes to add to.
        labels: the classes.
        segment_seconds: length of a file by capture times; a size of 32 MiB ends it sooner.

    Raises:
        OutputError: the folder cannot be written, or holds masks of other classes.
    """

    def __init__(self, folder: Path, labels: LabelMap, segment_seconds: float = 10.0) -> None:
        self.name = f"masks {folder}"
        self._folder = folder
        self._seconds = segment_seconds
        try:
            open_folder_of(folder, labels)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from error
        self._series = Series(folder / _NAME)
        self._held: list[_Held] = []

    def write(self, output: Output) -> None:
        """Keeps a mask for its file. First writes the earlier masks if their segment is over.

        Raises:
            OutputError: they cannot be written, as when the disk is full. Earlier files stay.
        """
        result = output.result
        if self._held:
            first = self._held[0]
            if (
                result.classes.shape != first.classes.shape
                or result.captured_at - first.captured_at >= self._seconds
                or (len(self._held) + 1) * result.classes.size > _MOST_BYTES
            ):
                self._write_segment()
        self._held.append(
            _Held(
                result.classes.copy(),
                result.frame_id,
                result.captured_at,
                result.valid,
                result.reason,
                output.name,
            )
        )

    def close(self, commit: bool) -> None:
        """Writes the last file, even if the run failed: the masks until then are correct.

        Raises:
            OutputError: as :meth:`write`.
        """
        if self._held:
            self._write_segment()

    def _write_segment(self) -> None:
        held, self._held = self._held, []
        kept = "the segments before are kept"
        check_room(self._folder, self._folder, kept)
        partial = self._series.begin()
        arrays = {
            "frame_id": np.array([each.frame_id for each in held], np.int64),
            "captured_at": np.array([each.captured_at for each in held], np.float64),
            "valid": np.array([each.valid for each in held], np.bool_),
            "reason": np.array([each.reason for each in held], np.str_),
            "name": np.array([each.name for each in held], np.str_),
            "classes": np.stack([each.classes for each in held]),
        }
        try:
            _write_npz(partial, arrays)
            self._series.finish(partial)
        except OSError as error:
            raise OutputError(f"cannot write masks to {self._folder}: {error.strerror}; {kept}") from error
        finally:
            discard(partial)


@dataclass(frozen=True)
class _Held:
    """A mask that waits for its file."""

    classes: npt.NDArray[np.uint8]
    frame_id: int
    captured_at: float
    valid: bool
    reason: str
    name: str


def _write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes arrays as ``numpy.savez_compressed`` does, with a compression fast enough for a camera."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
