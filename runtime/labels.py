"""Label maps: the names and colours of the classes, in CVAT's ``labelmap.txt`` form.

A class's id is its position in the map. Id 255 is *void*: not labelled, never trained on, never counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .files import read_regular

VOID = 255
"""Class id of pixels that carry no label."""

VOID_RGB = (224, 224, 192)
"""The colour PASCAL VOC paints void with."""

_LINE = re.compile(r"^(?P<name>[^:]+):(?P<rgb>\d{1,3},\d{1,3},\d{1,3}):[^:]*:[^:]*$")
_MAX_CLASSES = 255
_MOST_NAME = 100
_MOST_BYTES = 256 << 10


@dataclass(frozen=True)
class Label:
    """One class: its name and its RGB colour, each channel 0 to 255."""

    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class LabelMap:
    """The classes of a network or of a data set, in order of their ids.

    Example:
        >>> labels = LabelMap.from_pairs([("road", (128, 64, 128)), ("car", (64, 0, 128))])
        >>> labels.names
        ('road', 'car')
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.labels) <= _MAX_CLASSES:
            raise DataError(f"a label map holds 1 to {_MAX_CLASSES} classes, this one {len(self.labels)}")
        for name in self.names:
            # Names are drawn, logged and sent to browsers: none may steer a terminal or fill a screen.
            if not (1 <= len(name) <= _MOST_NAME and name.isprintable()):
                raise DataError(
                    f"{name[:_MOST_NAME]!r} is no class's name; expected 1 to {_MOST_NAME} printable characters"
                )
        for kind, values in (("name", self.names), ("colour", tuple(label.rgb for label in self.labels))):
            seen: set[object] = set()
            for value in values:
                if value in seen:
                    raise DataError(f"the label map has the {kind} {value} twice; each class needs its own")
                seen.add(value)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, Sequence[int]]]) -> LabelMap:
        """Builds a map from ``(name, rgb)`` pairs, in order of their ids.

        Raises:
            DataError: a channel is outside 0 to 255, or a name or colour comes twice.
        """
        labels = []
        for name, rgb in pairs:
            if len(rgb) != 3 or any(not 0 <= int(v) <= 255 for v in rgb):
                raise DataError(
                    f"class {name!r} has the colour {tuple(rgb)}; expected three numbers from 0 to 255"
                )
            labels.append(Label(name, (int(rgb[0]), int(rgb[1]), int(rgb[2]))))
        return cls(tuple(labels))

    @classmethod
    def generic(cls, count: int) -> LabelMap:
        """Builds ``class_0 … class_N`` with PASCAL VOC's colour for each id."""
        return cls.from_pairs((f"class_{i}", voc_color(i)) for i in range(count))

    @classmethod
    def read(cls, path: Path) -> LabelMap:
        """Reads CVAT's ``labelmap.txt``: a line ``name:r,g,b:parts:actions`` a class.

        A first line ``background:0,0,0::`` is class 0, as CVAT writes it. A class named ``void`` or ``ignore``
        is left out: its pixels are void.

        Raises:
            DataError: the file is missing, or a line is malformed.
        """
        try:
            text = read_regular(path, _MOST_BYTES).decode("utf-8")
        except OSError as error:
            raise DataError(f"cannot read the label map {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"cannot read the label map {path}: {error}") from error
        pairs: list[tuple[str, tuple[int, ...]]] = []
        for number, raw in enumerate(text.splitlines(), start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            match = _LINE.match(line)
            if match is None:
                shown = line if len(line) <= _MOST_NAME else line[:_MOST_NAME] + "…"
                raise DataError(f"{path}, line {number}: {shown!r} is not of the form name:r,g,b::")
            if match["name"].lower() not in ("void", "ignore"):
                pairs.append((match["name"], tuple(int(v) for v in match["rgb"].split(","))))
        try:
            return cls.from_pairs(pairs)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Writes the map as CVAT's ``labelmap.txt``."""
        lines = ["# label:color_rgb:parts:actions"]
        lines += [f"{label.name}:{','.join(str(v) for v in label.rgb)}::" for label in self.labels]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, in order of their ids."""
        return tuple(label.name for label in self.labels)

    def palette_rgb(self) -> npt.NDArray[np.uint8]:
        """The colours as uint8 [256, 3]: row i is class i, row 255 void, unused rows black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.labels)] = [label.rgb for label in self.labels]
        palette[VOID] = VOID_RGB
        return palette


def voc_color(class_id: int) -> tuple[int, int, int]:
    """The RGB colour that the PASCAL VOC development kit gives a class id (its ``labelcolormap``)."""
    rgb = [0, 0, 0]
    value = class_id
    for shift in range(7, -1, -1):
        for channel in range(3):
            rgb[channel] |= ((value >> channel) & 1) << shift
        value >>= 3
    return rgb[0], rgb[1], rgb[2]


VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def voc_labels() -> LabelMap:
    """The 21 classes of PASCAL VOC, background first."""
    return LabelMap.from_pairs((name, voc_color(i)) for i, name in enumerate(VOC_NAMES))
