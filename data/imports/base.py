"""The common structure into which every form is read, before it is written in VOC layout."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ...core.files import read_text
from ..class_lists import NamedClass
from ..lists import IMAGE_SUFFIXES

Mask = npt.NDArray[np.uint8]

SUFFIXES = (*IMAGE_SUFFIXES, ".gif", ".ppm", ".pgm", ".jp2")
"""The suffixes of files that may be images or masks, in lower case."""

_MOST_FILES = 5_000_000
_MOST_JSON_BYTES = 2 << 30
_SKIPPED_FOLDERS = ("__MACOSX", "@eaDir")


@dataclass(frozen=True)
class Item:
    """One image with the function that draws its mask.

    Attributes:
        id: its name without suffix, with the folders that distinguish it.
        image: its file, or the file's content.
        split: its list; empty if the form has none.
        mask: returns the mask for the image's (height, width): positions among the classes, uint8, 255 for void. It
            raises DataError if it cannot.
    """

    id: str
    image: Path | bytes
    split: str
    mask: Callable[[tuple[int, int]], Mask]


@dataclass
class Found:
    """The content of a data set.

    Attributes:
        classes: in order of their values in the masks.
        items: the images.
        left_out: names of files that are left out, by the reason.
        notes: facts for the user, one line each.
    """

    classes: list[NamedClass]
    items: list[Item] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, name: str) -> None:
        """Records that a file is left out."""
        self.left_out.setdefault(reason, []).append(name)


@dataclass(frozen=True)
class Asked:
    """The user's options for a data set.

    Attributes:
        images, masks: patterns of paths, for the form ``globs``.
        classes: the classes; None if the data set names them.
    """

    images: str | None = None
    masks: str | None = None
    classes: list[NamedClass] | None = None


@dataclass(frozen=True)
class FileTree:
    """The files of a folder.

    Attributes:
        root: the folder.
        files: their paths below it, sorted, without hidden ones.
    """

    root: Path
    files: tuple[PurePosixPath, ...]

    @classmethod
    def of(cls, root: Path, most: int = _MOST_FILES) -> FileTree:
        """Lists at most ``most`` files of a folder."""
        found: list[PurePosixPath] = []
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(
                each for each in folders if not each.startswith(".") and each not in _SKIPPED_FOLDERS
            )
            base = PurePosixPath(Path(folder).relative_to(root).as_posix())
            found += [base / name for name in sorted(names) if not name.startswith(".")]
            if len(found) >= most:
                break
        return cls(root, tuple(sorted(found[:most])))

    def named(self, *names: str) -> list[PurePosixPath]:
        """Returns the files with one of these names, in any folder."""
        return [path for path in self.files if path.name in names]

    def ending(self, *ends: str) -> list[PurePosixPath]:
        """Returns the files whose names have one of these endings, in upper or lower case."""
        return [path for path in self.files if path.name.lower().endswith(ends)]

    def images(self) -> list[PurePosixPath]:
        """Returns the files that may be images or masks."""
        return self.ending(*SUFFIXES)

    def has_folder(self, *names: str) -> bool:
        """Returns True if there is a folder with one of these names."""
        return any(part in names for path in self.files for part in path.parts[:-1])


def read_json(path: Path) -> Any:
    """Reads a JSON file of annotations.

    Raises:
        DataError: it is missing, or is not text or not JSON.
    """
    text = read_text(path, "the annotations", most_bytes=_MOST_JSON_BYTES)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read the annotations {path}: it is no JSON ({error})") from error


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """Returns the JSON objects of a list.

    Raises:
        DataError: it is not a list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise DataError(f"{what} is no list of objects; check that the file is the tool's own export")
    return value


def field_of(entry: dict[str, Any], key: str, kind: type, what: str) -> Any:
    """Returns a field of a JSON object, which must be of this kind.

    Raises:
        DataError: it is missing or of another kind.
    """
    value = entry.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(
            f"{what} has no {key!r} that is {kind.__name__}; check that the file is the tool's own export"
        )
    return value


def folders_of(paths: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """Returns the folders of files."""
    return {path.parent for path in paths}
