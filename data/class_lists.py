"""Lists of classes that tools write beside their masks, and the error for a missing ``labelmap.txt``."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.files import is_hidden_copy, read_text
from ..core.labels import VOID, LabelMap, voc_color, voc_labels
from .colours import Rgb, lines_for, pack, unpack
from .masks import open_mask

NAMES = (
    "class_dict.csv", "classes.csv", "label_colors.txt", "label_colours.txt", "class_names.txt", "classes.txt",
    "labels.txt", "obj.names",
)  # fmt: skip
"""The files that name classes; those with colours come first."""

_MOST_BYTES = 1 << 20
_MOST_LOOKED_AT = 20
_MOST_LINE = 1000
_OFFICIAL = re.compile(r"VOC20\d\d")
_NUMBER = re.compile(r"\d{1,5}", re.ASCII)
_HEADS = ("name", "class", "label", "class_name", "pixel value", "r", "red", "#")


@dataclass(frozen=True)
class NamedClass:
    """A class in a list.

    Attributes:
        name: as written.
        rgb: its colour; None if the list has none.
        value: the value of its pixels in a grey mask; None if the list has none.
    """

    name: str
    rgb: Rgb | None = None
    value: int | None = None


def read_labels(root: Path) -> LabelMap:
    """Reads the ``labelmap.txt`` of a data set in VOC layout.

    A folder of PASCAL VOC itself, ``VOC2012``, has no such file; its 21 classes are known.

    Raises:
        DataError: it is missing or malformed. If it is missing, the message suggests one from the folder's content.
    """
    path = root / "labelmap.txt"
    if os.path.lexists(path):
        return LabelMap.read(path)
    named = find_list(root)
    if named is None and _OFFICIAL.fullmatch(root.resolve().name):
        return voc_labels()
    problem = f"{root} has no labelmap.txt, and what its masks hold is not guessed"
    voc = (
        f"where the classes are PASCAL VOC's, `edgeseg data import {root} --out DIR --classes voc` writes it"
    )
    if named is not None:
        raise DataError(
            f"{problem}: `edgeseg data import {root} --out DIR` takes the {len(read_list(named))} classes of "
            f"{named.name}; {voc}"
        )
    lines = _lines_from_masks(root)
    if lines:
        problem += f": write one, names of your own instead of these: {' '.join(lines)}"
    raise DataError(f"{problem}; {voc}")


def find_list(folder: Path) -> Path | None:
    """Returns the file that names the classes in a folder; None if there is none."""
    return next((path for name in NAMES if (path := folder / name).is_file()), None)


def read_list(path: Path) -> list[NamedClass]:
    """Reads a list of classes: only names, or names with a colour or a value each.

    The forms are ``labelmap.txt``, ``name``, ``name,r,g,b``, ``r g b name`` and ``value,name``, with one line for each
    class. A heading in the first line is left out.

    Raises:
        DataError: the file is not UTF-8 text, or names no class.
    """
    text = read_text(path, "the list of classes", most_bytes=_MOST_BYTES)
    found = []
    for number, raw in enumerate(text.splitlines()):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if len(line) > _MOST_LINE:
            raise DataError(f"{path}, line {number + 1}: {line[:40]!r}… is too long for a class")
        if number == 0 and "," in line and line.lower().split(",")[0].strip(' "') in _HEADS:
            continue
        found.append(_parse(line))
    if not found:
        raise DataError(f"{path} names no class; expected one a line, such as road or road,128,64,128")
    return found


def _parse(line: str) -> NamedClass:
    colons = line.split(":")
    if len(colons) == 4 and (rgb := _rgb(colons[1].split(","))):
        return NamedClass(colons[0].strip(), rgb)
    cells = [cell.strip() for cell in next(csv.reader([line]))] if "," in line else line.split()
    if len(cells) >= 4:
        if rgb := _rgb(cells[1:4]):
            return NamedClass(cells[0], rgb)
        if rgb := _rgb(cells[:3]):
            return NamedClass(" ".join(cells[3:]), rgb)
    if len(cells) == 2 and _NUMBER.fullmatch(cells[0]):
        return NamedClass(cells[1], value=int(cells[0]))
    if len(cells) == 2 and "," in line and _NUMBER.fullmatch(cells[1]):
        return NamedClass(cells[0], value=int(cells[1]))
    return NamedClass(line)


def _rgb(cells: list[str]) -> Rgb | None:
    if len(cells) != 3 or not all(_NUMBER.fullmatch(cell.strip()) for cell in cells):
        return None
    r, g, b = (int(cell) for cell in cells)
    return (r, g, b) if max(r, g, b) <= 255 else None


def _lines_from_masks(root: Path) -> list[str]:
    """Returns label map lines for the first masks: with their colours, or their values and PASCAL VOC's colours."""
    colours: Counter[Rgb] = Counter()
    values: set[int] = set()
    masks = (root / "SegmentationClass").rglob("*")
    for path in sorted(path for path in masks if path.suffix.lower() in (".png", ".bmp", ".tif", ".gif"))[
        :_MOST_LOOKED_AT
    ]:
        if is_hidden_copy(path.name):
            continue
        try:
            stored, palette_rgb = open_mask(path)
        except DataError:
            continue  # the error is reported when the mask is read later
        counts = np.bincount(stored.ravel(), minlength=256) if stored.ndim == 2 else np.zeros(256, int)
        used = [value for value in np.flatnonzero(counts).tolist() if value != VOID]
        if palette_rgb is not None:
            colours.update({tuple(palette_rgb[value].tolist()): int(counts[value]) for value in used})
        elif stored.ndim == 2:
            values.update(used)
        else:
            found, numbers = np.unique(pack(stored), return_counts=True)
            colours.update({unpack(c): n for c, n in zip(found.tolist(), numbers.tolist(), strict=True)})
    if colours:
        return lines_for(colours) if len(colours) <= VOID else []
    if not values or max(values) > 64:
        return []
    return [f"class_{i}:{','.join(map(str, voc_color(i)))}::" for i in range(max(values) + 1)]
