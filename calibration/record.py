"""The calibration file: ranges and exclusion lists, with the graph and images that they are valid for.

It is reused if graph, preprocessing and images are the same, and refused if any of them differs: ranges of another
network or other images would be worse than none.
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
from .images import CalibrationSet, image_sha256
from .ranges import Range

SCHEMA = 1
_HASH_DIGITS = 16
PREPROCESSING = "stretch to the input size, linear, BGR bytes"
"""The runtime's processing of a frame before the graph; it changes with ``runtime.preprocess``."""


@dataclass(frozen=True)
class Plan:
    """The quantization of one target, and its measured loss on the held-out images.

    Attributes:
        method: gives the ranges.
        excluded: convolutions that stay in float, most sensitive first.
        searched: whether the search found the list; False for a list that was passed in, and without a search.
        budget, class_budget: points of mean IoU, and of any class, that it may lose.
        int8_macs: share of the multiply-accumulates in INT8, 0 to 1.
        shifts: by convolution, the correction of its bias; empty if the biases are not corrected.
        plain, chosen: figures of everything quantized, and of this plan; empty if nothing was measured.
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
class CalibrationRecord:
    """The content of a calibration file.

    Attributes:
        graph_sha256: of the graph, as ``Graph.sha256``.
        preprocessing: ``PREPROCESSING`` at that time.
        source: the source of the images, for display.
        pictures_sha256: of the images for the ranges.
        picture_hashes: the first digits of every image's SHA-256, including held-out ones.
        held_back: the number of held-out images.
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
    def of(
        cls, graph: Graph, images: CalibrationSet, ranges: Mapping[str, Mapping[str, Range]]
    ) -> CalibrationRecord:
        """Returns a new record, without plans."""
        return cls(
            graph_sha256=graph.sha256,
            preprocessing=PREPROCESSING,
            source=images.images.name,
            pictures_sha256=images.sha256,
            picture_hashes=tuple(sorted(digest[:_HASH_DIGITS] for digest in images.hashes.values())),
            held_back=len(images.held_out),
            class_shares=images.coverage.class_shares,
            ranges=_rounded(ranges),
        )

    @property
    def never_seen(self) -> tuple[str, ...]:
        """The classes that are in no calibration image."""
        return tuple(name for name, share in self.class_shares.items() if share == 0)

    @property
    def summary(self) -> str:
        """Returns one sentence on how well the images cover the classes."""
        shares = self.class_shares
        text = f"{len(self.picture_hashes)} calibration images of {self.source}, {self.held_back} of them held out"
        if not shares:
            return f"{text}; their labels are not the network's classes"
        present = [name for name in shares if name not in self.never_seen]
        rarest = min(present, key=lambda name: shares[name])
        seen = len(present)
        return (
            f"{text}; {seen} of {len(shares)} classes are seen, least of all {rarest} "
            f"({100 * shares[rarest]:.2g} % of the pixels)"
        )

    def differences(self, graph: Graph, images: CalibrationSet | None) -> list[str]:
        """Returns the reasons why the ranges are not valid here; empty if they are.

        Args:
            graph: the graph to quantize.
            images: the available calibration images; None if there are none.
        """
        found = []
        if self.graph_sha256 != graph.sha256:
            found.append("they are of another graph (other weights, input size or exporter)")
        if self.preprocessing != PREPROCESSING:
            found.append(f"frames were prepared otherwise ({self.preprocessing!r}, now {PREPROCESSING!r})")
        if images is not None and self.pictures_sha256 != images.sha256:
            found.append(f"they are taken from other images ({self.source})")
        return found

    def as_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomically(path, _compact(self.as_json()).encode(), force=True)

    @classmethod
    def load(cls, path: Path) -> CalibrationRecord:
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
    """Makes sure that no frame for verification was used for calibration.

    Args:
        picture_hashes: of a record.
        frames: name and pixels, uint8 [H, W, 3], of the frames for verification.

    Raises:
        DataError: a frame has a calibration image's pixels; the message names it.
    """
    known = set(picture_hashes)
    shared = [name for name, frame in frames if image_sha256(frame)[:_HASH_DIGITS] in known]
    if shared:
        more = " …" if len(shared) > 3 else ""
        raise DataError(
            f"{len(shared)} of the frames to verify on are calibration images ({', '.join(shared[:3])}{more}),"
            " so that the figures would be too good; verify on another --split, or calibrate on other images"
        )


def _rounded(ranges: Mapping[str, Mapping[str, Range]]) -> dict[str, dict[str, Range]]:
    """Rounds ranges to eight digits, as in the file, so that a file that is read back gives exactly the same graph."""
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
    """Returns JSON with each list of numbers on one line: readable, and a changed tensor is one changed line."""
    number = r"-?[\d.eE+-]+"
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    lists = re.compile(rf"\[\n\s+({number}(?:,\n\s+{number})*)\n\s+\]")
    return lists.sub(lambda found: "[" + re.sub(r",\n\s+", ", ", found[1]) + "]", text) + "\n"
