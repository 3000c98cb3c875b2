"""The calibration file: ranges and exclusion lists, with what they hold for.

It is reused where graph, preprocessing and images are the same, and refused where any of them differs: ranges of
another network or other images would be worse than none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import DataError
from ..core.files import read_text
from ..core.outputs import write_atomically
from .graph import Graph
from .images import CalibrationSet, picture_sha256

SCHEMA = 1
_HASH_DIGITS = 16
PREPROCESSING = "stretch to the input size, linear, BGR bytes"
"""What the runtime does to a frame before the graph; it changes when ``runtime.preprocess`` does."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """How one target is quantized, and what that was measured to cost on the held-out images.

    Attributes:
        method: whose ranges are taken.
        excluded: convolutions that stay in float, most sensitive first.
        searched: whether the list was found by the search; False for one that was passed in, or where none was made.
        budget, class_budget: points of mean IoU, and of any class, that it may lose.
        int8_macs: share of the multiply-accumulates in INT8, 0 to 1.
        shifts: by convolution, what is added to its bias; empty where the biases are left as they are.
        plain, chosen: figures of everything quantized, and of this plan; empty where nothing was measured.
    """

    method: str
    excluded: tuple[str, ...]
    searched: bool
    budget: float
    class_budget: float
    int8_macs: float
    shifts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    plain: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """A calibration file's content.

    Attributes:
        graph_sha256: of the graph, as ``Graph.sha256``.
        preprocessing: ``PREPROCESSING`` when it was made.
        source: where the images come from, for people.
        pictures_sha256: of the images the ranges are taken from.
        picture_hashes: the first digits of every image's SHA-256, held out or not.
        held_back: how many of them were held out.
        class_shares: coverage, as in ``Coverage``.
        ranges: by method, by tensor, (low, high).
        plans: by target.
    """

    graph_sha256: str
    preprocessing: str
    source: str
    pictures_sha256: str
    picture_hashes: tuple[str, ...]
    held_back: int
    class_shares: Mapping[str, float]
    ranges: Mapping[str, Mapping[str, Range]]
    plans: Mapping[str, Plan] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, pictures: CalibrationSet, ranges: Mapping[str, Mapping[str, Range]]) -> Record:
        """A new record, without plans."""
        return cls(
            graph_sha256=graph.sha256,
            preprocessing=PREPROCESSING,
            source=pictures.pictures.name,
            pictures_sha256=pictures.sha256,
            picture_hashes=tuple(sorted(digest[:_HASH_DIGITS] for digest in pictures.hashes.values())),
            held_back=len(pictures.held_back),
            class_shares=pictures.coverage.class_shares,
            ranges=_rounded(ranges),
        )

    @property
    def never_seen(self) -> tuple[str, ...]:
        """The classes that no calibration image has."""
        return tuple(name for name, share in self.class_shares.items() if share == 0)

    @property
    def worth(self) -> str:
        """One sentence on what the images are worth."""
        shares = self.class_shares
        text = f"{len(self.picture_hashes)} calibration pictures of {self.source}, {self.held_back} of them held back"
        if not shares:
            return f"{text}; their labels are not the network's classes"
        present = [name for name in shares if name not in self.never_seen]
        rarest = min(present, key=lambda name: shares[name])
        seen = len(present)
        return (
            f"{text}; {seen} of {len(shares)} classes are seen, least of all {rarest} "
            f"({100 * shares[rarest]:.2g} % of the pixels)"
        )

    def differences(self, graph: Graph, pictures: CalibrationSet | None) -> list[str]:
        """Why the ranges do not hold here; empty where they do.

        Args:
            graph: what is to be quantized.
            pictures: what is at hand to calibrate on; None where there is nothing.
        """
        found = []
        if self.graph_sha256 != graph.sha256:
            found.append("they are of another graph (other weights, input size or exporter)")
        if self.preprocessing != PREPROCESSING:
            found.append(f"frames were prepared otherwise ({self.preprocessing!r}, now {PREPROCESSING!r})")
        if pictures is not None and self.pictures_sha256 != pictures.sha256:
            found.append(f"they are taken from other pictures ({self.source})")
        return found

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomically(path, _compact(self.as_json()).encode(), force=True)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Reads a calibration file.

        Raises:
            DataError: it is missing, malformed or of another schema.
        """
        text = read_text(path, "the calibration")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the calibration {path} is not JSON ({error}); calibrate again") from error
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise DataError(f"{path} is no calibration of schema {SCHEMA}; calibrate again")
        try:
            content["ranges"] = {
                method: {name: _pair(pair) for name, pair in tensors.items()}
                for method, tensors in content["ranges"].items()
            }
            content["picture_hashes"] = tuple(content["picture_hashes"])
            content["plans"] = {
                target: Plan(**{**plan, "excluded": tuple(plan["excluded"])})
                for target, plan in content["plans"].items()
            }
            return cls(**content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"the calibration {path} is malformed ({error}); calibrate again") from error


def refuse_overlap(
    picture_hashes: Iterable[str], frames: Iterable[tuple[str, npt.NDArray[np.uint8]]]
) -> None:
    """Makes sure that what is verified on was not calibrated on.

    Args:
        picture_hashes: a record's.
        frames: name and pixels, uint8 [H, W, 3], of what will be verified on.

    Raises:
        DataError: a frame has a calibration image's pixels; the message names it.
    """
    known = set(picture_hashes)
    shared = [name for name, frame in frames if picture_sha256(frame)[:_HASH_DIGITS] in known]
    if shared:
        more = " …" if len(shared) > 3 else ""
        raise DataError(
            f"{len(shared)} of the frames to verify on are calibration pictures ({', '.join(shared[:3])}{more}),"
            " so that the verdict would flatter; verify on another --split, or calibrate on other pictures"
        )


def _rounded(ranges: Mapping[str, Mapping[str, Range]]) -> dict[str, dict[str, Range]]:
    """Ranges to eight digits, as the file has them: what is read back gives the same graph, bit for bit."""
    return {
        method: {name: (float(f"{low:.8g}"), float(f"{high:.8g}")) for name, (low, high) in tensors.items()}
        for method, tensors in ranges.items()
    }


def _pair(pair: Sequence[float]) -> Range:
    low, high = (float(bound) for bound in pair)
    if not (np.isfinite([low, high]).all() and low <= 0 <= high):
        raise ValueError(f"a range of {low} to {high}")
    return low, high


def _compact(content: Mapping[str, Any]) -> str:
    """JSON with a list of numbers a line: readable, and a change of a tensor shows as one line."""
    number = r"-?[\d.eE+-]+"
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    lists = re.compile(rf"\[\n\s+({number}(?:,\n\s+{number})*)\n\s+\]")
    return lists.sub(lambda found: "[" + re.sub(r",\n\s+", ", ", found[1]) + "]", text) + "\n"
