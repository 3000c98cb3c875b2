"""Label maps: the names and colours of the classes, in CVAT's ``labelmap.txt`` form.

A class's id is its position among the classes. Id 255 is *void*: not labelled, never trained on, never counted.
A line named ``void`` or ``ignore`` is not a class: pixels of its colour, or of its position in the file, are void.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .files import read_text

VOID = 255
"""Class id of pixels that carry no label."""

VOID_RGB = (224, 224, 192)
"""The colour of void in PASCAL VOC's masks."""

_LINE = re.compile(r"^(?P<name>[^:]+):(?P<rgb>\d{1,3},\d{1,3},\d{1,3}):[^:]*:[^:]*$", re.ASCII)
_VOID_NAMES = ("void", "ignore")
_MAX_CLASSES = 255
_MOST_NAME = 100
_MOST_BYTES = 256 << 10


@dataclass(frozen=True)
class Label:
    """One class: its name and its RGB colour, each channel 0 to 255."""

    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class VoidLine:
    """A line of a ``labelmap.txt`` that names no class: its position in the file, from 0, and its name and colour."""

    position: int
    label: Label


@dataclass(frozen=True)
class LabelMap:
    """The classes of a network or of a data set, in order of their ids.

    Every map can be written to ``labelmap.txt`` and read back: a name that the reader would misread is refused when
    the map is made.

    Attributes:
        labels: the classes.
        void: lines of the file it was read from whose pixels are void. They do not count when two maps are compared.

    Raises:
        DataError: too few or too many classes, a name that cannot be written down, or a name or colour twice.

    Example:
        >>> labels = LabelMap.from_pairs([("road", (128, 64, 128)), ("car", (64, 0, 128))])
        >>> labels.names
        ('road', 'car')
    """

    labels: tuple[Label, ...]
    void: tuple[VoidLine, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.labels) <= _MAX_CLASSES:
            raise DataError(f"a label map holds 1 to {_MAX_CLASSES} classes, this one {len(self.labels)}")
        for name in self.names:
            _check_name(name)
        if len(self.labels) + len(self.void) > VOID:
            raise DataError(f"a label map holds at most {VOID} lines, those for void among them")
        colours = [label.rgb for label in (*self.labels, *(line.label for line in self.void))]
        for kind, values in (("name", self.names), ("colour", colours)):
            seen: set[object] = set()
            for value in values:
                if value in seen:
                    raise DataError(f"the label map has the {kind} {value} twice; each class needs its own")
                seen.add(value)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, Sequence[int]]]) -> LabelMap:
        """Builds a map from ``(name, rgb)`` pairs, in order of their ids.

        Raises:
            DataError: as :class:`LabelMap`, or a channel is outside 0 to 255.
        """
        return cls(tuple(_label(name, rgb) for name, rgb in pairs))

    @classmethod
    def generic(cls, count: int) -> LabelMap:
        """Builds ``class_0 … class_N`` with PASCAL VOC's colour for each id."""
        return cls.from_pairs((f"class_{i}", voc_color(i)) for i in range(count))

    @classmethod
    def read(cls, path: Path) -> LabelMap:
        """Reads CVAT's ``labelmap.txt``: one line ``name:r,g,b:parts:actions`` for each class.

        A first line ``background:0,0,0::`` is class 0, as CVAT writes it. Pixels of a line named ``void`` or
        ``ignore`` are void.

        Raises:
            DataError: the file is missing or no UTF-8 text, or a line is malformed.
        """
        text = read_text(path, "the label map", most_bytes=_MOST_BYTES)
        try:
            return cls._parse(text)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    @classmethod
    def _parse(cls, text: str) -> LabelMap:
        labels: list[Label] = []
        void: list[VoidLine] = []
        for number, raw in enumerate(text.splitlines(), start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            match = _LINE.match(line)
            if match is None:
                shown = line if len(line) <= _MOST_NAME else line[:_MOST_NAME] + "…"
                raise DataError(f"line {number}: {shown!r} is not of the form name:r,g,b::")
            label = _label(match["name"].strip(), [int(value) for value in match["rgb"].split(",")])
            if label.name.lower() in _VOID_NAMES:
                void.append(VoidLine(len(labels) + len(void), label))
            else:
                labels.append(label)
        return cls(tuple(labels), tuple(void))

    def write(self, path: Path) -> None:
        """Writes the map as CVAT's ``labelmap.txt``, with the lines for void in their old positions."""
        lines = list(self.labels)
        for void in self.void:
            lines.insert(void.position, void.label)
        text = [f"{label.name}:{','.join(str(v) for v in label.rgb)}::" for label in lines]
        path.write_text("\n".join(["# label:color_rgb:parts:actions", *text]) + "\n", encoding="utf-8")

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

    def ids_by_position(self) -> npt.NDArray[np.uint8]:
        """Class ids, uint8 [lines], by the position of a line in the file: the values in a mask without colours."""
        void = {line.position for line in self.void}
        classes = iter(range(len(self.labels)))
        lines = len(self.labels) + len(self.void)
        return np.array([VOID if position in void else next(classes) for position in range(lines)], np.uint8)


def _label(name: str, rgb: Sequence[int]) -> Label:
    if len(rgb) != 3 or any(not 0 <= int(v) <= 255 for v in rgb):
        raise DataError(f"class {name!r} has the colour {tuple(rgb)}; expected three numbers from 0 to 255")
    return Label(name, (int(rgb[0]), int(rgb[1]), int(rgb[2])))


def _check_name(name: str) -> None:
    # Names are drawn, logged and sent to browsers: none may control a terminal or fill a screen.
    if not (1 <= len(name) <= _MOST_NAME and name.isprintable()):
        raise DataError(
            f"{name[:_MOST_NAME]!r} is no class's name; expected 1 to {_MOST_NAME} printable characters"
        )
    if ":" in name or name.startswith("#") or name != name.strip():
        raise DataError(
            f"{name!r} is no class's name: labelmap.txt could not hold it; expected one without a colon, "
            "a # at its start, or space around it"
        )
    if name.lower() in _VOID_NAMES:
        raise DataError(
            f"{name!r} is no class's name: it stands for pixels without a label; give the class another one"
        )


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
