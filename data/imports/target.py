"""The classes that an import writes: those of the source, cleaned, merged or ignored by the user's options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError, UsageError
from ...core.labels import VOID, LabelMap, voc_color
from ..class_lists import NamedClass
from ..colours import Rgb

_VOID_NAMES = ("void", "ignore", "__ignore__", "_ignore_")
_MOST_NAME = 100


@dataclass(frozen=True)
class TargetClasses:
    """The classes to write, and the conversion of masks to them.

    Attributes:
        labels: the classes to write.
        table: uint8 [256]: the id to write for each position among the source's classes.
        notes: the changes of names.
    """

    labels: LabelMap
    table: npt.NDArray[np.uint8]
    notes: list[str]


def parse_merge(texts: Sequence[str]) -> dict[str, str]:
    """Reads ``car,truck=vehicle``: the new name of each class that is merged.

    Raises:
        UsageError: a text has another form, or names a class twice.
    """
    merged: dict[str, str] = {}
    for text in texts:
        left, sign, into = text.rpartition("=")
        names = [each.strip() for each in left.split(",") if each.strip()]
        if not sign or not into.strip() or not names:
            raise UsageError(
                f"--merge {text!r}: expected names, =, and a new name, such as car,truck=vehicle"
            )
        for name in names:
            if name in merged:
                raise UsageError(f"--merge names {name!r} twice")
            merged[name] = into.strip()
    return merged


def make_target(classes: Sequence[NamedClass], merge: Sequence[str], ignore: Sequence[str]) -> TargetClasses:
    """Decides the classes to write.

    Args:
        classes: of the source, in order of their positions in masks. Classes named ``void`` or ``ignore`` are void.
        merge: as :func:`parse_merge` reads them.
        ignore: names whose pixels become void; each text is one name, or several separated by commas.

    Raises:
        UsageError: a name is not in the source.
        DataError: there are too many classes, or none is left.
    """
    names = [_clean(each.name) for each in classes]
    if len(names) > VOID:
        raise DataError(
            f"the set has {len(names)} classes, at most {VOID} can be read; leave some out of its list"
        )
    merged = parse_merge(merge)
    ignored = {name.strip() for text in ignore for name in text.split(",") if name.strip()}
    for option, asked in (("--merge", set(merged)), ("--ignore", ignored)):
        unknown = sorted(asked - set(names))
        if unknown:
            raise UsageError(f"{option}: the set has no class {unknown[0]!r}; it has {', '.join(names)}")
    notes: list[str] = []
    table = np.full(256, VOID, np.uint8)
    chosen: dict[str, Rgb | None] = {}
    for position, (name, source) in enumerate(zip(names, classes, strict=True)):
        if name.lower() in _VOID_NAMES or name in ignored:
            notes.append(f"{name} is void")
            continue
        into = _clean(merged.get(name, name))
        if into not in chosen:
            chosen[into] = source.rgb
        elif name not in merged:
            notes.append(f"{into} is named twice: both are one class")
        table[position] = list(chosen).index(into)
    if not chosen:
        raise DataError("no class is left: all are void; leave an --ignore out")
    return TargetClasses(LabelMap.from_pairs(_coloured(chosen)), table, notes)


def _clean(name: str) -> str:
    """Returns a valid name for ``labelmap.txt``, and ``background`` for labelme's ``_background_``."""
    if name.strip().lower() in ("_background_", "__background__"):
        return "background"
    kept = "".join(each if each.isprintable() else " " for each in name.replace(":", "-"))
    return " ".join(kept.split()).lstrip("# ")[:_MOST_NAME].strip() or "unnamed"


def _coloured(chosen: dict[str, Rgb | None]) -> list[tuple[str, Rgb]]:
    """Returns each class with its colour: its own, or the first free one of PASCAL VOC's."""
    taken: set[Rgb] = set()
    found: dict[str, Rgb] = {}
    for name, rgb in chosen.items():
        if rgb is not None and rgb not in taken:
            found[name] = rgb
            taken.add(rgb)
    for position, name in enumerate(chosen):
        if name not in found:
            first = 0 if position == 0 else 1
            rgb = next(
                c
                for i in range(first, 512)
                if (c := voc_color(i % 256) if i < 256 else (1, 1, i - 256)) not in taken
            )
            found[name] = rgb
            taken.add(rgb)
    return [(name, found[name]) for name in chosen]
