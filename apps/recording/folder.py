"""A folder of recordings: ``take-0001/segment-000001.edgerec`` and on, kept within a size limit."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from ...core.errors import OutputError
from ...core.outputs import check_output

SEGMENT_SUFFIX = ".edgerec"

_TAKE = re.compile(r"take-(\d{4,})")
_SEGMENT = re.compile(rf"segment-(\d{{6,}})\{SEGMENT_SUFFIX}")


def takes_of(folder: Path) -> list[Path]:
    """The takes of a folder, oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    return _numbered(folder, _TAKE)


def segments_of(take: Path) -> list[Path]:
    """The segments of a take, oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    return _numbered(take, _SEGMENT)


def number_of(path: Path) -> int:
    """The number of a take or segment."""
    match = _TAKE.fullmatch(path.name) or _SEGMENT.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def new_take(folder: Path) -> Path:
    """Makes the next take's folder. Existing takes stay as they are.

    Raises:
        OutputError: it cannot be made.
    """
    check_output(folder, folder=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = max((number_of(take) for take in takes_of(folder)), default=0)
        while True:
            number += 1
            take = folder / f"take-{number:04d}"
            with contextlib.suppress(FileExistsError):  # another process was first
                take.mkdir()
                return take
    except OSError as error:
        raise OutputError(f"cannot record to {folder}: {error.strerror}") from error


def segment_path(take: Path, number: int) -> Path:
    """The name of a take's segment."""
    return take / f"segment-{number:06d}{SEGMENT_SUFFIX}"


def make_room(folder: Path, most_bytes: int, writing: Path) -> None:
    """Removes the oldest segments, of earlier takes too, until all together are within a size limit.

    Args:
        folder: of all takes.
        most_bytes: of all segments.
        writing: the segment that is being written, which stays.

    Raises:
        OSError: a segment cannot be removed.
    """
    segments = [segment for take in takes_of(folder) for segment in segments_of(take)]
    sizes = {segment: segment.stat().st_size for segment in segments}
    total = sum(sizes.values())
    for segment in segments:
        if total <= most_bytes or segment == writing:
            return
        segment.unlink(missing_ok=True)
        total -= sizes[segment]
        if segment.parent != writing.parent:
            with contextlib.suppress(OSError):  # other segments are left in it
                segment.parent.rmdir()


def _numbered(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    found = [(int(match[1]), name) for name in os.listdir(folder) if (match := pattern.fullmatch(name))]
    return [folder / name for _, name in sorted(found)]
