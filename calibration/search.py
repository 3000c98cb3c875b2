"""The accuracy-budget search: the fewest convolutions that must stay in float to keep the budgets.

If quantizing everything breaks a budget, the biases are corrected, which may be enough. If not, each convolution is
quantized alone; the error of the logits is its sensitivity. Then lists are tried by measured IoU: the most sensitive
convolutions stay in float. Their number grows until half of both budgets holds, then shrinks by bisection. At last
each convolution that the list does not need is removed. Every trial is recorded, so that an interrupted search
continues where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ..core.errors import OutputError
from ..core.outputs import check_output
from ..data.voc import Sample
from ..runtime.preprocess import Preprocessor
from .bias import IMAGES, Shifts, bias_shifts, shifts_as_json, shifts_from_json
from .graph import Graph
from .images import CalibrationSet
from .judge import Judge, Loss, Score
from .placement import candidates
from .quantize import quantize
from .ranges import Range

SENSITIVITY_IMAGES = 8
RESERVE = 0.5
"""The share of each budget that the search leaves unspent, because the loss differs between sets of images: LRASPP on
CamVid lost 0.8 points of a class on 80 held-out images and 1.2 on the 101 of val."""
ASTRAY = 1.25
"""The largest factor by which corrected biases may raise the logits' error. With a factor of 2.3 (FCN-8s on CamVid),
mean IoU rose on the held-out images, but a class lost 1.2 points on others. With no rise, other images agreed."""

_QUANTIZER = 3
"""A count of changes in the output of ``quantize``; trials of another count are measured again."""

Notify = Callable[[str, int, int], None]
"""A callback with the current activity, the amount done, and the total; a total of 0 is not known yet."""


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
    """

    method: str
    excluded: tuple[str, ...]
    shifts: Shifts
    int8_macs: float
    score: Score
    loss: Loss


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        reference: the float graph's score.
        plain: everything quantized by the chosen method, without correction.
        chosen: the shortest list found within the budgets.
        trials: all measured trials, in order.
        sensitivity: by convolution, the relative logit error of quantizing it alone; empty if it was not needed.
    """

    reference: Score
    plain: Trial
    chosen: Trial
    trials: tuple[Trial, ...]
    sensitivity: Mapping[str, float]


class BudgetSearch:
    """The search for one target.

    Args:
        graph: float32.
        images: with masks in the network's classes.
        num_classes: C.
        target: ``tensorrt`` or ``cpu``.
        ranges: by method, by tensor.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        journal: the file to which every measurement is appended.
        notify: called with the progress.
        correct_biases: whether to try corrected biases before convolutions stay in float.
    """

    def __init__(
        self,
        graph: Graph,
        images: CalibrationSet,
        num_classes: int,
        target: str,
        ranges: Mapping[str, Mapping[str, Range]],
        budget: float,
        class_budget: float,
        journal: Path,
        notify: Notify = lambda text, done, total: None,
        *,
        correct_biases: bool = True,
    ) -> None:
        self._graph, self._images, self._target, self._ranges = graph, images, target, ranges
        self._budget, self._class_budget = budget, class_budget
        self._correct_biases = correct_biases
        self._notify = notify
        self._judge = Judge(graph, images, num_classes, target)
        self._journal = _Journal(journal)
        self._trials: dict[tuple[str, bool, tuple[str, ...]], Trial] = {}
        self._candidates = candidates(graph, target)
        self._reference = self._score("the float graph", self._key("float"), lambda: graph.model)

    def run(self) -> SearchResult:
        """Chooses the method, then the list.

        Raises:
            OutputError: the journal cannot be written.
        """
        # The logits distinguish methods better than IoU, which depends strongly on few pixels of a rare class.
        plain = min((self.trial(method, ()) for method in self._ranges), key=lambda t: t.score.logit_error)
        chosen, sensitivity = plain, {}
        if self._correct_biases and not self._within(plain):
            corrected = self.trial(plain.method, (), correct=True)
            if corrected.score.logit_error <= ASTRAY * plain.score.logit_error:
                chosen = min(plain, corrected, key=self._spent)
        if not self._within(chosen):
            sensitivity = self.sensitivity(plain.method)
            order = sorted(sensitivity, key=lambda name: -sensitivity[name])
            chosen = self._shortest(plain.method, order, correct=bool(chosen.shifts))
        return SearchResult(self._reference, plain, chosen, tuple(self._trials.values()), sensitivity)

    def trial(self, method: str, excluded: Sequence[str], *, correct: bool = False) -> Trial:
        """Measures a list on the held-out images, or returns its earlier trial; ``correct`` corrects the biases too."""
        names = tuple(excluded)
        key = (method, correct, tuple(sorted(names)))
        if key not in self._trials:
            number, in_float = len(self._trials) + 1, f"{len(names)} of {len(self._candidates)} in float"
            what = f"trial {number}: {method}, {in_float}{', biases corrected' if correct else ''}"
            shifts = self._shifts(method, names) if correct else {}
            score = self._score(
                what,
                self._key("corrected" if correct else "score", method, names),
                lambda: quantize(self._graph, self._ranges[method], self._target, names, shifts),
            )
            share = int8_macs(self._graph, self._target, names)
            loss = score.points_lost(self._reference)
            self._trials[key] = Trial(method, names, shifts, share, score, loss)
        return self._trials[key]

    def sensitivity(self, method: str) -> dict[str, float]:
        """Quantizes each convolution alone; returns the relative logit error of each, in the graph's order."""
        samples = self._samples(SENSITIVITY_IMAGES)
        errors = {}
        for done, name in enumerate(self._candidates):
            self._notify("sensitivity, one convolution at a time", done, len(self._candidates))
            others = [other for other in self._candidates if other != name]

            def measure(others: Sequence[str] = others) -> float:
                model = quantize(self._graph, self._ranges[method], self._target, others)
                return self._judge.logit_error(model, samples)

            errors[name] = self._journal.number(self._key("sensitivity", method, [name]), measure)
        return errors

    def _shortest(self, method: str, order: Sequence[str], *, correct: bool) -> Trial:
        def trial(names: Sequence[str]) -> Trial:
            return self.trial(method, names, correct=correct)

        failing, passing = 0, 1
        while not self._within(best := trial(order[:passing])):
            failing, passing = passing, min(2 * passing, len(order))
        while passing - failing > 1:
            middle = (failing + passing) // 2
            if self._within(candidate := trial(order[:middle])):
                passing, best = middle, candidate
            else:
                failing = middle
        # The convolution that costs most in float is tried first.
        for name in sorted(best.excluded, key=lambda name: -self._graph.operators[name].macs):
            fewer = trial([other for other in best.excluded if other != name])
            if self._within(fewer):
                best = fewer
        return best

    def _samples(self, count: int) -> list[Sample]:
        """Returns a few of the images for the ranges, evenly spaced."""
        positions = self._images.for_ranges
        step = max(1, len(positions) // count)
        return list(self._images.read(positions[::step][:count]))

    def _shifts(self, method: str, excluded: Sequence[str]) -> Shifts:
        done, total = 0, len(self._candidates) - len(excluded)

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify("correcting biases, one convolution after the other", done, total)

        def measure() -> Shifts:
            ranges = self._ranges[method]
            return bias_shifts(self._graph, ranges, self._target, excluded, self._frames(), advance)

        return self._journal.shifts(self._key("shifts", method, excluded), measure)

    def _frames(self) -> list[npt.NDArray[np.uint8]]:
        preprocess = Preprocessor(self._graph.input_size_hw)
        return [preprocess(sample.frame_bgr).copy() for sample in self._samples(IMAGES)]

    def _score(self, what: str, key: str, model: Callable[[], onnx.ModelProto]) -> Score:
        total, done = len(self._images.held_back), 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify(what, done, total)

        return self._journal.score(key, lambda: self._judge.score(model(), advance))

    def _key(self, kind: str, method: str = "", names: Sequence[str] = ()) -> str:
        images = sorted(self._images.hashes[index] for index in self._images.held_back)
        parts = [
            str(_QUANTIZER), kind, self._graph.sha256, self._images.sha256, *images, self._target,
            json.dumps(sorted(self._ranges.get(method, {}).items())), *sorted(names),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def _within(self, trial: Trial) -> bool:
        return not trial.int8_macs or self._spent(trial) <= 1 - RESERVE

    def _spent(self, trial: Trial) -> float:
        return trial.loss.spent(self._budget, self._class_budget)


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
        self._known: dict[str, dict[str, object]] = {}
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

    def score(self, key: str, measure: Callable[[], Score]) -> Score:
        entry = self._get(key, lambda: asdict(measure()))
        return Score(
            class_iou=tuple(float("nan") if v is None else v for v in entry["class_iou"]),  # type: ignore[attr-defined]
            pixels=tuple(entry["pixels"]),  # type: ignore[arg-type]
            logit_error=float(entry["logit_error"]),  # type: ignore[arg-type]
        )

    def number(self, key: str, measure: Callable[[], float]) -> float:
        return float(self._get(key, lambda: {"value": measure()})["value"])  # type: ignore[arg-type]

    def shifts(self, key: str, measure: Callable[[], Shifts]) -> Shifts:
        def rounded() -> dict[str, object]:
            return {"shifts": shifts_as_json(measure())}

        return shifts_from_json(self._get(key, rounded)["shifts"])

    def _get(self, key: str, measure: Callable[[], dict[str, object]]) -> dict[str, object]:
        if key not in self._known:
            entry = measure()
            if "class_iou" in entry:
                entry["class_iou"] = [None if v != v else v for v in entry["class_iou"]]  # type: ignore[attr-defined]
            self._known[key] = entry
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(self._before + json.dumps({"key": key, **entry}) + "\n")
                self._before = ""
            except OSError as error:
                raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        return self._known[key]
