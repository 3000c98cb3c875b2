"""Hazards: the classes that a vehicle may land on, and the distance it keeps from all others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError, UsageError
from ...core.files import read_text
from ...core.labels import VOID, LabelMap
from ...core.toml import parse_toml

SAFE = "safe"
_MOST_BYTES = 64 << 10
_MOST_MARGIN_M = 1000.0
_MOST_MARGINS = 8


@dataclass(frozen=True)
class HazardTable:
    """The hazard of each class.

    Attributes:
        margins_m: the distance in metres to keep between the footprint and each class, by name; None for a class that
            may be landed on.
        unknown_m: the distance to keep from ground that is void or was not seen.

    Raises:
        UsageError: no class may be landed on, or a margin is out of range.
    """

    margins_m: Mapping[str, float | None]
    unknown_m: float = 0.0
    _ranked: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        margins = [margin for margin in self.margins_m.values() if margin is not None]
        if len(margins) == len(self.margins_m):
            raise UsageError("no class may be landed on; name at least one, such as grass")
        for name, margin in (*self.margins_m.items(), ("unknown ground", self.unknown_m)):
            if margin is not None and not (math.isfinite(margin) and 0 <= margin <= _MOST_MARGIN_M):
                raise UsageError(
                    f"the margin of {name} is {margin:g} m; expected 0 to {_MOST_MARGIN_M:g} metres"
                )
        ranked = tuple(sorted({*margins, self.unknown_m}))
        if len(ranked) > _MOST_MARGINS:
            raise UsageError(
                f"{len(ranked)} different margins; expected at most {_MOST_MARGINS}, because each costs time in every "
                "frame"
            )
        object.__setattr__(self, "_ranked", ranked)

    @classmethod
    def landing_on(
        cls,
        labels: LabelMap,
        safe: Iterable[str],
        margins_m: Mapping[str, float] | None = None,
        default_m: float = 1.0,
        unknown_m: float = 0.0,
    ) -> HazardTable:
        """Returns the table of a label map.

        Args:
            labels: the classes of the network.
            safe: names of the classes that may be landed on.
            margins_m: the margins of single hazards.
            default_m: the margin of every other class.
            unknown_m: as for the class.

        Raises:
            UsageError: a name is not a class of the label map, or is both safe and a hazard.
        """
        safe, own = tuple(safe), dict(margins_m or {})
        for name in (*safe, *own):
            if name not in labels.names:
                raise UsageError(
                    f"{name!r} is not a class of the network; it knows {', '.join(labels.names)}"
                )
            if name in safe and name in own:
                raise UsageError(f"{name!r} is both safe and a hazard with a margin of {own[name]:g} m")
        margins = {name: None if name in safe else own.get(name, default_m) for name in labels.names}
        return cls(margins, unknown_m)

    @property
    def ranked_margins_m(self) -> tuple[float, ...]:
        """The different margins in metres, ascending. Rank r of :meth:`ranks` has margin r - 1 of these."""
        return self._ranked

    def ranks(self, labels: LabelMap) -> npt.NDArray[np.uint8]:
        """Returns the look-up table uint8 [256] from class id to rank: 0 is safe, a higher rank has a larger margin.

        Ids without a class, void among them, have the rank of unknown ground.
        """
        table = np.full(256, self.unknown_rank, np.uint8)
        for class_id, name in enumerate(labels.names):
            margin = self.margins_m[name]
            table[class_id] = 0 if margin is None else 1 + self._ranked.index(margin)
        table[VOID] = self.unknown_rank
        return table

    @property
    def unknown_rank(self) -> int:
        """The rank of ground that is void or was not seen."""
        return 1 + self._ranked.index(self.unknown_m)


def read_hazards(path: Path, labels: LabelMap) -> HazardTable:
    """Reads a hazard table: TOML with a table ``classes`` of ``name = "safe"`` or ``name = METRES``.

    ``default`` and ``unknown`` at the top give the margin of classes that are not named, and of unknown ground.

    Args:
        path: the file.
        labels: the classes of the network.

    Raises:
        DataError: it cannot be read, or is not of this form.
        UsageError: it names a class that the network does not know, or nothing safe.
    """
    text = read_text(path, "the hazard table", most_bytes=_MOST_BYTES)
    content = parse_toml(text, f"the hazard table {path}", DataError)
    if unknown := sorted(content.keys() - {"classes", "default", "unknown"}):
        raise DataError(f"{path} has the entry {unknown[0]!r}; expected classes, default and unknown")
    classes = content.get("classes")
    if not isinstance(classes, dict) or not classes:
        raise DataError(
            f'{path} has no table [classes]; expected lines such as grass = "safe" and person = 5.0'
        )
    safe, margins = [], {}
    for name, value in classes.items():
        if value == SAFE:
            safe.append(name)
        else:
            margins[name] = _metres(path, name, value)
    return HazardTable.landing_on(
        labels,
        safe,
        margins,
        _metres(path, "default", content.get("default", 1.0)),
        _metres(path, "unknown", content.get("unknown", 0.0)),
    )


def _metres(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f'{path}: {name} is {value!r}; expected "safe" or a margin in metres')
    return float(value)
