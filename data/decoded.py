"""A cache of decoded images on disk, mapped into memory: several processes share what one of them has decoded.

Each image is a file ``KEY.npy``, written under a hidden name and then renamed, so no process sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import OutputError
from ..core.outputs import replacing

RESERVE_BYTES = 2 << 30
"""Room that stays free on the disk."""

_FORMAT = 1
_SUFFIX = ".npy"
_HEADER_BYTES = 128
_PARTIAL = ".partial-"
_STALE_SECONDS = 3600.0
"""A partial file older than this was left by a process that ended."""

Planes = npt.NDArray[np.uint8]
"""uint8 [C, H, W]: blue, green and red, and the class ids if there is a mask."""


class DecodedCache:
    """A folder of decoded images.

    Args:
        folder: is made if it is missing, for the user alone.

    Raises:
        OutputError: it cannot be made, or belongs to another user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            raise OutputError(f"cannot keep decoded images in {folder}: {error.strerror}") from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise OutputError(f"cannot keep decoded images in {folder}: it is no folder of yours")

    def make_room(self, keys: Iterable[str], needed_bytes: int, most_bytes: int) -> str:
        """Removes images of other trainings, the oldest first, so that all together stay within a bound.

        Args:
            keys: the images of this training, which stay.
            needed_bytes: the size of them all.
            most_bytes: of the whole folder.

        Returns:
            The reason that there is no room on the disk; empty if there is.

        Raises:
            OutputError: the folder cannot be read.
        """
        wanted = {f"{key}{_SUFFIX}" for key in keys}
        there = 0
        others: list[tuple[float, int, str]] = []
        try:
            for entry in os.scandir(self.folder):
                with suppress(FileNotFoundError):  # another training removes files too
                    status = entry.stat()
                    if _PARTIAL in entry.name and time.time() - status.st_mtime > _STALE_SECONDS:
                        os.unlink(entry.path)
                    if not entry.name.endswith(_SUFFIX):
                        continue
                    if entry.name in wanted:
                        there += status.st_size
                    else:
                        others.append((status.st_mtime, status.st_size, entry.path))
            room = most_bytes - needed_bytes
            for _, size, path in sorted(others, reverse=True):
                room -= size
                if room < 0:
                    Path(path).unlink(missing_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise OutputError(f"cannot keep decoded images in {self.folder}: {error.strerror}") from error
        if free - (needed_bytes - there) >= RESERVE_BYTES:
            return ""
        return (
            f"the images take {_gb(needed_bytes - there)} more in {self.folder}, where {_gb(free)} are free and "
            f"{_gb(RESERVE_BYTES)} stay so"
        )

    def read(self, key: str) -> Planes | None:
        """Returns an image, mapped into memory and read-only; None if it is not there, or not whole."""
        try:
            planes = np.load(self._path(key), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # it will be decoded again
            return None
        if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.ndim != 3:
            return None
        return planes

    def write(self, key: str, planes: Planes) -> bool:
        """Keeps an image. Returns False if the disk has no room for it; then nothing is written."""
        path = self._path(key)
        partial = path.with_name(f".{key}{_PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            if shutil.disk_usage(self.folder).free - planes.nbytes < RESERVE_BYTES:
                return False
            with replacing(path, partial), partial.open("xb") as file:
                np.save(file, planes, allow_pickle=False)
        except (OSError, OutputError):
            return False
        return True

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"


def key_of(files: Sequence[Path], meaning: object = None) -> str:
    """Returns the key of an image: it differs if a file has another name, size or time of change.

    Args:
        files: the image, and its mask if there is one.
        meaning: what else decides the decoded bytes, as JSON: a label map's colours.

    Raises:
        OSError: a file is missing.
    """
    facts = []
    for path in files:
        status = path.stat()
        facts.append([os.fsencode(os.path.abspath(path)).hex(), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps([_FORMAT, facts, meaning]).encode()).hexdigest()[:40]


def stored_bytes(size_hw: tuple[int, int], planes: int) -> int:
    """Returns the bytes that an image takes in the cache."""
    return size_hw[0] * size_hw[1] * planes + _HEADER_BYTES


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
