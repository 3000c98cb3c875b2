"""The shape that every form is read into, before it is written in VOC layout."""

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
from ..lists import PICTURE_SUFFIXES

Mask = npt.NDArray[np.uint8]

SUFFIXES = (*PICTURE_SUFFIXES, ".gif", ".ppm", ".pgm", ".jp2")
"""Of files that may hold images or masks, in lower case."""

_MOST_FILES = 5_000_000
_MOST_JSON_BYTES = 2 << 30
_SKIPPED_FOLDERS = ("__MACOSX", "@eaDir")


@dataclass(frozen=True)
class Item:
    """One image with what draws its mask.

    Attributes:
        id: its name without suffix, with folders that are worth keeping.
        picture: its file, or the file's content.
        split: the list that it is in; empty where the form has none.
        mask: gives the mask for the image's (height, width): positions among the classes, uint8, 255 for void. It
            raises DataError where it cannot.
    """

    id: str
    picture: Path | bytes
    split: str
    mask: Callable[[tuple[int, int]], Mask]


@dataclass
class Found:
    """What a data set holds.

    Attributes:
        classes: in order of the values that the masks have.
        items: the images.
        left_out: names of what is not taken, by the reason.
        notes: what a user should know, a line each.
    """

    classes: list[NamedClass]
    items: list[Item] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, name: str) -> None:
        """Notes that something is not taken."""
        self.left_out.setdefault(reason, []).append(name)


@dataclass(frozen=True)
class Asked:
    """What the user says of a data set.

    Attributes:
        images, masks: patterns of paths, for the form ``globs``.
        classes: the classes; None where the set is to name them.
    """

    images: str | None = None
    masks: str | None = None
    classes: list[NamedClass] | None = None


@dataclass(frozen=True)
class Tree:
    """The files of a folder.

    Attributes:
        root: the folder.
        files: their paths below it, sorted; no hidden ones.
    """

    root: Path
    files: tuple[PurePosixPath, ...]

    @classmethod
    def of(cls, root: Path, most: int = _MOST_FILES) -> Tree:
        """Lists a folder, at most so many files of it."""
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
        """The files of one of these names, wherever they lie."""
        return [path for path in self.files if path.name in names]

    def ending(self, *ends: str) -> list[PurePosixPath]:
        """The files whose names end so, in any case of letters."""
        return [path for path in self.files if path.name.lower().endswith(ends)]

    def pictures(self) -> list[PurePosixPath]:
        """The files that may hold images or masks."""
        return self.ending(*SUFFIXES)

    def has_folder(self, *names: str) -> bool:
        """Whether a folder of one of these names is there."""
        return any(part in names for path in self.files for part in path.parts[:-1])


def read_json(path: Path) -> Any:
    """Reads a JSON file of annotations.

    Raises:
        DataError: it is missing, no text, or no JSON.
    """
    text = read_text(path, "the annotations", most_bytes=_MOST_JSON_BYTES)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read the annotations {path}: it is no JSON ({error})") from error


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """The JSON objects of a list.

    Raises:
        DataError: it is no list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise DataError(f"{what} is no list of objects; see that the file is the tool's own export")
    return value


def field_of(entry: dict[str, Any], key: str, kind: type, what: str) -> Any:
    """A field of a JSON object, of the kind that it must have.

    Raises:
        DataError: it is missing or of another kind.
    """
    value = entry.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DataError(
            f"{what} has no {key!r} that is {kind.__name__}; see that the file is the tool's own export"
        )
    return value


def folders_of(paths: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """The folders that files lie in."""
    return {path.parent for path in paths}
