"""The trials of a search: what is measured of one graph for one target, each measurement once and kept in a file."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ..core.errors import OutputError
from ..core.outputs import check_output
from ..data.voc import Sample
from ..runtime.preprocess import Preprocessor
from .bias import IMAGES, Shifts, bias_shifts, shifts_as_json, shifts_from_json
from .bounds import Proof, loss_at_most
from .graph import Graph
from .images import CalibrationSet
from .judge import Judge, Loss, Score
from .placement import candidates
from .quantize import quantize
from .ranges import Range

SENSITIVITY_IMAGES = 8

_QUANTIZER = 3
"""A count of changes in the output of ``quantize``; trials of another count are measured again."""

Notify = Callable[[str, int, int], None]
"""A callback with the current activity, the amount done, and the total; a total of 0 is not known yet."""


@dataclass(frozen=True)
class SearchInput:
    """The network, the images and the ranges of a search.

    Attributes:
        graph: float32.
        images: with masks in the network's classes.
        num_classes: C.
        target: ``tensorrt`` or ``cpu``.
        ranges: by method, by tensor.
    """

    graph: Graph
    images: CalibrationSet
    num_classes: int
    target: str
    ranges: Mapping[str, Mapping[str, Range]]


@dataclass(frozen=True)
class Trial:
    """The measurement of one exclusion list.

    Attributes:
        method: gives the ranges.
        excluded: the convolutions that stay in float.
        shifts: the corrections of the biases; empty if they were not corrected.
        int8_macs: share of the multiply-accumulates in INT8.
        score: on the held-out images.
        loss: against the float graph.
        at_most: the upper bound of the loss on other images like these, as :mod:`.bounds` has it.
    """

    method: str
    excluded: tuple[str, ...]
    shifts: Shifts
    int8_macs: float
    score: Score
    loss: Loss
    at_most: Loss

    @property
    def figures(self) -> dict[str, float]:
        """Losses and their bounds in points of 100, and shares of 1; without a bound where there is none."""
        return _figures(self.score, self.loss, self.at_most)


def _figures(score: Score, loss: Loss, at_most: Loss) -> dict[str, float]:
    found = {
        "miou": score.miou,
        "miou_lost": loss.miou,
        "miou_lost_at_most": at_most.miou,
        "worst_class_lost": loss.worst_class,
        "worst_class_lost_at_most": at_most.worst_class if at_most.worst_class_id >= 0 else np.inf,
        "logit_error": score.logit_error,
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


class Measurements:
    """Every measurement of one graph for one target, from the journal or made now.

    Args:
        given: what the search works on.
        journal: the file to which every measurement is appended.
        notify: called with the progress.

    Attributes:
        reference: the float graph's score.
        candidates: the convolutions that can be quantized, in the graph's order.

    Raises:
        OutputError: the journal cannot be written.
    """

    def __init__(
        self, given: SearchInput, journal: Path, notify: Notify = lambda text, done, total: None
    ) -> None:
        self.given = given
        self.candidates = candidates(given.graph, given.target)
        self._notify = notify
        self._judge = Judge(given.graph, given.images, given.num_classes, given.target)
        self._journal = _Journal(journal)
        hashes = [given.images.hashes[index] for index in given.images.held_out]
        self._by_hash = np.argsort(hashes)
        """The held-out images in the order of the stored counts, which is not that of their list."""
        self._judged: Sequence[int] | None = None
        self._whole = self._stored(
            self._key("float"), lambda: self._score("the float graph", given.graph.model)
        )
        self.reference = self._whole

    @property
    def proof(self) -> Proof:
        """The losses that the images which judge can bound."""
        return Proof.of(self.reference)

    def part(self, positions: Sequence[int]) -> Measurements:
        """Returns the same measurements, judged on some of the held-out images, by their positions among these."""
        found = copy.copy(self)
        found._judged = tuple(positions)
        found.reference = self.reference.of(positions)
        return found

    def trial(self, what: str, method: str, excluded: Sequence[str], *, correct: bool = False) -> Trial:
        """Measures a list on the held-out images, or returns its earlier measurement.

        Args:
            what: the text for the progress.
            method: gives the ranges.
            excluded: the convolutions that stay in float.
            correct: whether the biases are corrected.
        """
        names, given = tuple(excluded), self.given
        shifts = self._shifts(method, names) if correct else {}

        def measure() -> Score:
            return self._score(what, quantize(given.graph, given.ranges[method], given.target, names, shifts))

        key = self._key("corrected" if correct else "score", method, names)
        score = self._stored(key, measure, self._whole)
        if self._judged is not None:
            score = score.of(self._judged)
        share = int8_macs(given.graph, given.target, names)
        loss, at_most = score.points_lost(self.reference), loss_at_most(self.reference, score)
        return Trial(method, names, shifts, share, score, loss, at_most)

    def sensitivity(self, method: str) -> dict[str, float]:
        """Quantizes each convolution alone; returns the relative logit error of each, in the graph's order."""
        given, errors = self.given, {}
        samples = self._samples(SENSITIVITY_IMAGES)
        for done, name in enumerate(self.candidates):
            self._notify("sensitivity, one convolution at a time", done, len(self.candidates))
            others = [other for other in self.candidates if other != name]

            def measure(others: Sequence[str] = others) -> float:
                model = quantize(given.graph, given.ranges[method], given.target, others)
                return self._judge.logit_error(model, samples)

            key = self._key("sensitivity", method, [name])
            errors[name] = float(self._journal.entry(key, lambda: {"value": measure()})["value"])
        return errors

    def _samples(self, count: int) -> list[Sample]:
        """Returns a few of the images for the ranges, evenly spaced."""
        positions = self.given.images.for_ranges
        step = max(1, len(positions) // count)
        return list(self.given.images.read(positions[::step][:count]))

    def _shifts(self, method: str, excluded: Sequence[str]) -> Shifts:
        given = self.given
        done, total = 0, len(self.candidates) - len(excluded)

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify("correcting biases, one convolution after the other", done, total)

        def measure() -> dict[str, Any]:
            ranges = given.ranges[method]
            shifts = bias_shifts(given.graph, ranges, given.target, excluded, self._frames(), advance)
            return {"shifts": shifts_as_json(shifts)}

        return shifts_from_json(self._journal.entry(self._key("shifts", method, excluded), measure)["shifts"])

    def _frames(self) -> list[npt.NDArray[np.uint8]]:
        preprocess = Preprocessor(self.given.graph.input_size_hw)
        return [preprocess(sample.frame_bgr).copy() for sample in self._samples(IMAGES)]

    def _score(self, what: str, model: onnx.ModelProto) -> Score:
        total, done = len(self.given.images.held_out), 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify(what, done, total)

        return self._judge.score(model, advance)

    def _stored(self, key: str, measure: Callable[[], Score], reference: Score | None = None) -> Score:
        def entry() -> dict[str, Any]:
            score = measure()
            ordered = score.of(self._by_hash)
            found: dict[str, Any] = {"counts": ordered.counts.tolist(), "squares": ordered.squares.tolist()}
            if reference is not None:  # for whoever reads the file; the search takes the counts
                loss, at_most = score.points_lost(reference), loss_at_most(reference, score)
                found["figures"] = _figures(score, loss, at_most)
            return found

        found = self._journal.entry(key, entry, needs="counts")
        score = Score(np.array(found["counts"], np.int64), np.array(found["squares"], np.float64))
        return score.of(np.argsort(self._by_hash))

    def _key(self, kind: str, method: str = "", names: Sequence[str] = ()) -> str:
        given = self.given
        images = sorted(given.images.hashes[index] for index in given.images.held_out)
        parts = [
            str(_QUANTIZER), kind, given.graph.sha256, given.images.sha256, *images, given.target,
            json.dumps(sorted(given.ranges.get(method, {}).items())), *sorted(names),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def int8_macs(graph: Graph, target: str, excluded: Sequence[str]) -> float:
    """Returns the share of all multiply-accumulates that run in INT8, 0 to 1."""
    total = sum(operator.macs for operator in graph.operators.values())
    inside = set(candidates(graph, target)) - set(excluded)
    return sum(graph.operators[name].macs for name in inside) / total


class _Journal:
    """Measurements by key, one JSON object on each line; a stored one is not measured again."""

    def __init__(self, path: Path) -> None:
        check_output(path)
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._before = ""
        if path.exists():
            text = path.read_text(encoding="utf-8")
            # A new line directly after an incomplete one would be lost too.
            self._before = "\n" if text and not text.endswith("\n") else ""
            for line in text.splitlines():
                try:
                    entry = json.loads(line)
                    self._known[entry.pop("key")] = entry
                except (json.JSONDecodeError, KeyError, AttributeError):
                    continue  # the last line of a run that was killed while writing; it is measured again

    def entry(self, key: str, measure: Callable[[], dict[str, Any]], needs: str = "") -> dict[str, Any]:
        """Returns the stored entry, or measures and stores it; one that lacks a field it needs is measured again."""
        known = self._known.get(key)
        if known is None or (needs and needs not in known):
            entry = measure()
            self._known[key] = entry
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(self._before + json.dumps({"key": key, **entry}) + "\n")
                self._before = ""
            except OSError as error:
                raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        return self._known[key]
