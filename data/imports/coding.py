"""The coding of masks: the class of each value or colour, derived from the masks and a list of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ...core.labels import VOID
from ..class_lists import NamedClass
from ..colours import Rgb, is_two_valued, lines_for, look_up, nearest, pack
from ..masks import open_mask
from .base import Mask

_MOST_COLOURS = VOID
_MOST_VALUES = 64
_MOST_COUNTED = 100_000
_LOSSY_SUFFIXES = (".jpg", ".jpeg")


@dataclass
class Coding:
    """The meaning of masks, and their reader.

    Attributes:
        classes: in order of the positions that ``read`` gives.
        read: reads one mask as positions, uint8 [H, W], 255 for void.
        notes: the assumptions.
    """

    classes: list[NamedClass]
    read: Callable[[Path], Mask]
    notes: list[str] = field(default_factory=list)


@dataclass
class _Seen:
    """The values and colours of all masks together."""

    values: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    colours: Counter[Rgb] = field(default_factory=Counter)
    palette: dict[int, Rgb] = field(default_factory=dict)
    lossy: bool = False
    coloured: bool = False


def find_coding(paths: Sequence[Path], named: list[NamedClass] | None) -> Coding:
    """Reads all masks, and decides their meaning.

    Args:
        paths: of the masks; those that cannot be read are ignored here.
        named: the classes, in order of their values if they have none; None if they are not named.

    Raises:
        DataError: the masks have no distinguishable classes, or classes that the list does not name.
    """
    seen = _look(paths)
    with_colours = named is not None and all(each.rgb is not None for each in named)
    if seen.coloured:
        if named is not None and not with_colours:
            raise DataError(
                f"the masks hold {len(seen.colours)} colours, and the list of classes has none; write name,r,g,b a "
                f"line. The colours: {' '.join(lines_for(seen.colours)[:12])}"
            )
        return _by_colour(seen, named)
    return _by_value(seen, named)


def by_values(classes: list[NamedClass], ids: dict[int, int]) -> Callable[[Path], Mask]:
    """Returns a reader of masks whose values map to positions among the classes; others are void."""
    table = np.full(256, VOID, np.uint8)
    for value, position in ids.items():
        table[value] = position

    def read(path: Path) -> Mask:
        return table[_grey(path)]

    return read


def _grey(path: Path) -> Mask:
    stored, _ = open_mask(path, lossy=True)
    return stored if stored.ndim == 2 else np.ascontiguousarray(stored[..., 0])


def _look(paths: Sequence[Path]) -> _Seen:
    seen = _Seen()
    for path in paths:
        try:
            stored, palette_rgb = open_mask(path, lossy=True)
        except DataError:
            continue  # left out with a reason when it is read later
        seen.lossy |= path.suffix.lower() in _LOSSY_SUFFIXES
        if stored.ndim == 3 and _is_grey(stored, seen.lossy):
            stored = np.ascontiguousarray(stored[..., 0])
        if stored.ndim == 2:
            counts = np.bincount(stored.ravel(), minlength=256)
            seen.values += counts
            if palette_rgb is not None:
                used = np.flatnonzero(counts).tolist()
                seen.palette |= {value: _rgb(palette_rgb[value]) for value in used}
            continue
        seen.coloured = True
        if len(seen.colours) <= _MOST_COUNTED:
            # Known colours are not sorted again: then a mask needs only hundredths of a second.
            known = {(r << 16) | (g << 8) | b: 0 for r, g, b in seen.colours}
            seen.colours.update(look_up(stored, known)[1])
    if not seen.coloured and not seen.values.any():
        raise DataError("no mask could be read; check that they are PNG, TIFF, BMP, GIF or JPEG files")
    return seen


def _is_grey(pixels_rgb: npt.NDArray[np.uint8], lossy: bool) -> bool:
    """Returns True if the three channels are the same; in a JPEG, nearly the same."""
    spread = pixels_rgb.max(axis=2).astype(np.int16) - pixels_rgb.min(axis=2)
    return bool(spread.max(initial=0) <= (12 if lossy else 0))


def _rgb(row: npt.NDArray[np.uint8]) -> Rgb:
    return int(row[0]), int(row[1]), int(row[2])


def _by_colour(seen: _Seen, named: list[NamedClass] | None) -> Coding:
    notes: list[str] = []
    if named is None:
        if len(seen.colours) > _MOST_COLOURS:
            raise DataError(
                f"the masks hold {len(seen.colours)} colours, as a JPEG or a smooth resize leaves them; name "
                "those of the classes in a file, name,r,g,b a line, and give it as --classes: pixels take the nearest"
            )
        ordered = sorted(seen.colours, key=lambda rgb: (rgb != (0, 0, 0), rgb))
        named = [
            NamedClass("background" if rgb == (0, 0, 0) else f"colour_{rgb[0]}_{rgb[1]}_{rgb[2]}", rgb)
            for rgb in ordered
        ]
        notes.append(
            f"no list of classes: each of the {len(named)} colours is one; give names with --classes FILE"
        )
    known = np.array([each.rgb for each in named], np.uint8)
    unknown = {rgb: count for rgb, count in seen.colours.items() if rgb not in {each.rgb for each in named}}
    snap = bool(unknown) and (seen.lossy or len(unknown) > _MOST_COLOURS)
    if snap:
        notes.append(
            f"lossy masks, {len(seen.colours)} colours: every pixel takes the nearest class's colour"
        )
    elif unknown:
        notes.append(
            f"pixels of {len(unknown)} colours that no class has are void: {' '.join(lines_for(unknown)[:12])}"
        )
    table = {int(colour): position for position, colour in reversed(list(enumerate(pack(known).tolist())))}

    def read(path: Path) -> Mask:
        stored, palette_rgb = open_mask(path, lossy=True)
        pixels = stored if stored.ndim == 3 else _coloured(stored, palette_rgb)
        return nearest(pixels, known) if snap else look_up(pixels, table)[0]

    return Coding(named, read, notes)


def _coloured(stored: Mask, palette_rgb: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    return np.repeat(stored[..., None], 3, axis=2) if palette_rgb is None else palette_rgb[stored]


def _by_value(seen: _Seen, named: list[NamedClass] | None) -> Coding:
    used = np.flatnonzero(seen.values).tolist()
    pure = used in ([0, 255], [0, 1])
    if pure or is_two_valued_counts(seen.values, seen.lossy):
        return _two(used, named)
    if named is not None and all(each.rgb for each in named) and seen.palette:
        seen.colours.update(
            {seen.palette[v]: int(seen.values[v]) for v in used if v in seen.palette and v != VOID}
        )
        if all(rgb in {each.rgb for each in named} for rgb in seen.colours):
            return _by_colour(seen, named)
    if len(used) > _MOST_VALUES and named is None:
        raise DataError(
            f"the masks hold {len(used)} values; expected a value a class: they may be photographs, heights or "
            "probabilities. Name the values in a file, value,name a line, and give it as --classes"
        )
    values = [value for value in used if value != VOID or len(used) == 1]
    if named is None:
        return _unnamed(seen, values)
    return _named(values, named)


def is_two_valued_counts(counts: npt.NDArray[np.int64], lossy: bool) -> bool:
    """Like :func:`is_two_valued`, for pixel counts of each value; a JPEG needs no noise near white."""
    used = np.flatnonzero(counts)
    sample = np.repeat(used, np.maximum(1, counts[used] * 10_000 // max(1, int(counts.sum())))).astype(
        np.uint8
    )
    return is_two_valued(sample, noisy=not lossy)


def _two(used: list[int], named: list[NamedClass] | None) -> Coding:
    notes = []
    if named is None:
        named = [NamedClass("background"), NamedClass("object")]
        notes.append("masks of two values: background and object; give names with --classes FILE")
    if len(named) == 1:
        named = [NamedClass("background"), *named]
    if len(named) != 2:
        raise DataError(
            f"the masks hold two values, and the list names {len(named)} classes; expected one or two"
        )
    if used == [0, 1]:
        return Coding(named, by_values(named, {0: 0, 1: 1}), notes)
    if used != [0, 255]:
        notes.append(f"lossy masks, {len(used)} values: thresholded at 128")
    return Coding(named, by_values(named, {value: int(value >= 128) for value in range(256)}), notes)


def _unnamed(seen: _Seen, values: list[int]) -> Coding:
    dense = values[-1] < _MOST_VALUES
    listed = list(range(values[-1] + 1)) if dense else values
    colours = [seen.palette.get(value) for value in listed]
    classes = [
        NamedClass(f"class_{value}" if dense else f"value_{value}", rgb)
        for value, rgb in zip(listed, colours, strict=True)
    ]
    note = f"no list of classes: each of {len(listed)} values is one; give names with --classes FILE"
    return Coding(classes, by_values(classes, {value: at for at, value in enumerate(listed)}), [note])


def _named(values: list[int], named: list[NamedClass]) -> Coding:
    notes = []
    if all(each.value is not None for each in named):
        ids = {each.value: at for at, each in enumerate(named) if each.value is not None}
    else:
        if values[-1] == len(named) and named[0].name.strip("_").lower() != "background":
            named = [NamedClass("background"), *named]
            notes.append("value 0, which the list does not name, is background")
        ids = {at: at for at in range(len(named))}
    missing = [value for value in values if value not in ids]
    if missing:
        raise DataError(
            f"the masks hold the values {', '.join(map(str, missing[:12]))}, which the list of {len(named)} classes "
            "does not name; write value,name a line, one for each"
        )
    return Coding(named, by_values(named, {v: at for v, at in ids.items() if v <= 255}), notes)
