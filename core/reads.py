"""The inputs of a job, so that none of its outputs replaces one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Read:
    """One input.

    Attributes:
        description: its description, for display.
        paths: the files and folders.
        suffixes: of the files in those folders that are read, in lower case; None if all files below them are.
        spoilt_from_above: True if a folder of outputs must not contain it.
    """

    description: str
    paths: tuple[Path, ...]
    suffixes: frozenset[str] | None = None
    spoilt_from_above: bool = False


class Reads:
    """The inputs of a job, known by path and inode, so that no link or second name hides one.

    The file system is not read until an output is checked.
    """

    def __init__(self) -> None:
        self._reads: list[_Read] = []

    def add(self, description: str, *paths: Path | None) -> Reads:
        """Adds files, and folders with everything in them; None is ignored.

        Args:
            description: their description, for display, such as ``the configuration camera.toml``.
            paths: some may not exist.
        """
        self._reads.append(_Read(description, tuple(path for path in paths if path is not None)))
        return self

    def add_source(self, description: str, paths: Iterable[Path], suffixes: frozenset[str]) -> Reads:
        """Adds a source of frames. A folder of outputs must not contain it either.

        Args:
            description: as for :meth:`add`.
            paths: its files, and folders whose images are read.
            suffixes: of images, in lower case.
        """
        self._reads.append(_Read(description, tuple(paths), suffixes, spoilt_from_above=True))
        return self

    def add_dataset(self, root: Path | None) -> Reads:
        """Adds a data set in VOC layout; other things may lie in its folder."""
        if root is None:
            return self
        description = f"the data set {root}"
        roots = [root, *sorted(root.glob("VOC*"))]
        self._reads.append(_Read(description, tuple(roots), frozenset()))
        parts = ("JPEGImages", "SegmentationClass", "ImageSets", "labelmap.txt")
        return self.add(description, *(each / part for each in roots for part in parts))

    def holds(self, path: Path, status: os.stat_result | None, folder: bool) -> str:
        """The description of the input that an output would replace; empty if it replaces none.

        Args:
            path: of the output.
            status: of the path; None if nothing is there.
            folder: whether the output is a folder.
        """
        real = os.path.realpath(path)
        for read in self._reads:
            if any(_clashes(read, each, real, status, folder) for each in read.paths):
                return read.description
        return ""


NOTHING = Reads()
"""For a job that reads nothing that could be replaced."""


def _clashes(read: _Read, path: Path, real: str, status: os.stat_result | None, folder: bool) -> bool:
    its_status = _status(path)
    its_real = _real(path)
    if real == its_real or (folder and read.spoilt_from_above and its_real.startswith(_within(real))):
        return True
    if read.suffixes is None and real.startswith(_within(its_real)):
        return True
    if status is None or its_status is None:
        return False
    identity = (status.st_dev, status.st_ino)
    if identity == (its_status.st_dev, its_status.st_ino):
        return True
    return not folder and stat.S_ISDIR(its_status.st_mode) and identity in _identities(path, read.suffixes)


def _identities(folder: Path, suffixes: frozenset[str] | None) -> Iterator[tuple[int, int]]:
    """Device and inode of each file of a folder that is read."""
    try:
        entries = list(os.scandir(folder))
        device = folder.stat().st_dev
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir():
                if suffixes is None and not entry.is_symlink():
                    yield from _identities(Path(entry.path), suffixes)
            elif suffixes is None or os.path.splitext(entry.name)[1].lower() in suffixes:
                if entry.is_symlink():
                    linked = entry.stat()
                    yield linked.st_dev, linked.st_ino
                else:
                    yield device, entry.inode()
        except OSError:  # a link that leads nowhere names no file
            continue


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL: no file has such a name
        return ""


def _within(folder: str) -> str:
    return folder.rstrip(os.sep) + os.sep


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None
