"""The accuracy-budget search: the fewest convolutions that must stay in float for the masks to hold.

If everything quantized breaks a budget, the biases are corrected; that alone may do. If not, each convolution is
quantized alone, and what that does to the logits is its sensitivity. Then lists are tried
by measured IoU: the most sensitive convolutions stay in float, more and more of them until half of both budgets holds,
fewer by bisection, and at last each that the list can do without is taken out again. Every trial is written down, so
that a search that was ended goes on where it was.
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
from .bias import PICTURES, Shifts, bias_shifts, shifts_as_json, shifts_from_json
from .graph import Graph
from .images import CalibrationSet
from .judge import Judge, Loss, Score
from .placement import candidates
from .quantize import quantize
from .ranges import Range

SENSITIVITY_PICTURES = 8
RESERVE = 0.5
"""The share of each budget that the search leaves unspent. What a list costs on one set of images it does not cost
exactly on another: LRASPP on CamVid, 0.8 points of a class on 80 held-out images and 1.2 on the 101 of val."""
ASTRAY = 1.25
"""By what factor correcting biases may raise the logits' error. Where it raised it 2.3 times (FCN-8s on CamVid), mean
IoU gained on the held-out images and a class lost 1.2 points on others; where it left it, other images agreed."""

_QUANTIZER = 3
"""Counts changes of what ``quantize`` makes of the same input; trials of another count are measured again."""

Notify = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much; a total of 0 is not known yet."""


@dataclass(frozen=True)
class Trial:
    """One exclusion list, measured.

    Attributes:
        method: whose ranges.
        excluded: what stays in float.
        shifts: what was added to the biases; empty where they were left as they are.
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
    """What a search found.

    Attributes:
        reference: the float graph's score.
        plain: everything quantized, with the method that was chosen, and nothing corrected.
        chosen: the shortest list found within the budgets.
        trials: all that were measured, in order.
        sensitivity: by convolution, the relative logit error of quantizing it alone; empty where none was needed.
    """

    reference: Score
    plain: Trial
    chosen: Trial
    trials: tuple[Trial, ...]
    sensitivity: Mapping[str, float]


class BudgetSearch:
    """Searches for one target.

    Args:
        graph: float32.
        pictures: with masks in the network's classes.
        num_classes: C.
        target: ``tensorrt`` or ``cpu``.
        ranges: by method, by tensor.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        journal: file that every measurement is added to.
        notify: told of the progress.
        correct_biases: whether to try that before leaving convolutions in float.
    """

    def __init__(
        self,
        graph: Graph,
        pictures: CalibrationSet,
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
        self._graph, self._pictures, self._target, self._ranges = graph, pictures, target, ranges
        self._budget, self._class_budget = budget, class_budget
        self._correct_biases = correct_biases
        self._notify = notify
        self._judge = Judge(graph, pictures, num_classes, target)
        self._journal = _Journal(journal)
        self._trials: dict[tuple[str, bool, tuple[str, ...]], Trial] = {}
        self._candidates = candidates(graph, target)
        self._reference = self._score("the float graph", self._key("float"), lambda: graph.model)

    def run(self) -> SearchResult:
        """Chooses the method, then the list.

        Raises:
            OutputError: the journal cannot be written.
        """
        # The logits tell methods apart better than IoU, in which few pixels of a rare class weigh much.
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
        """Measures a list on the held-out images, or remembers it; ``correct`` corrects the biases too."""
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
        """Quantizes each convolution alone; the relative logit error that each brings, in the graph's order."""
        samples = self._samples(SENSITIVITY_PICTURES)
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
        # What costs most in float is tried first.
        for name in sorted(best.excluded, key=lambda name: -self._graph.operators[name].macs):
            fewer = trial([other for other in best.excluded if other != name])
            if self._within(fewer):
                best = fewer
        return best

    def _samples(self, count: int) -> list[Sample]:
        """A few of the images that the ranges are taken from, spread over them."""
        positions = self._pictures.for_ranges
        step = max(1, len(positions) // count)
        return list(self._pictures.read(positions[::step][:count]))

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
        return [preprocess(sample.frame_bgr).copy() for sample in self._samples(PICTURES)]

    def _score(self, what: str, key: str, model: Callable[[], onnx.ModelProto]) -> Score:
        total, done = len(self._pictures.held_back), 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify(what, done, total)

        return self._journal.score(key, lambda: self._judge.score(model(), advance))

    def _key(self, kind: str, method: str = "", names: Sequence[str] = ()) -> str:
        pictures = sorted(self._pictures.hashes[index] for index in self._pictures.held_back)
        parts = [
            str(_QUANTIZER), kind, self._graph.sha256, self._pictures.sha256, *pictures, self._target,
            json.dumps(sorted(self._ranges.get(method, {}).items())), *sorted(names),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def _within(self, trial: Trial) -> bool:
        return not trial.int8_macs or self._spent(trial) <= 1 - RESERVE

    def _spent(self, trial: Trial) -> float:
        return trial.loss.spent(self._budget, self._class_budget)


def int8_macs(graph: Graph, target: str, excluded: Sequence[str]) -> float:
    """The share of all multiply-accumulates that run in INT8, 0 to 1."""
    total = sum(operator.macs for operator in graph.operators.values())
    inside = set(candidates(graph, target)) - set(excluded)
    return sum(graph.operators[name].macs for name in inside) / total


class _Journal:
    """Measurements by key, one JSON object a line; what is already there is not measured again."""

    def __init__(self, path: Path) -> None:
        check_output(path)
        self._path = path
        self._known: dict[str, dict[str, object]] = {}
        self._before = ""
        if path.exists():
            text = path.read_text(encoding="utf-8")
            # Behind a line that was cut off a new one would be lost too.
            self._before = "\n" if text and not text.endswith("\n") else ""
            for line in text.splitlines():
                try:
                    entry = json.loads(line)
                    self._known[entry.pop("key")] = entry
                except (json.JSONDecodeError, KeyError, AttributeError):
                    continue  # the last line of a run that was killed while it wrote; it is measured again

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
