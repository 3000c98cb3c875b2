"""The accuracy-budget search: the fewest convolutions that must stay in float for the masks to hold.

First each convolution is quantized alone, and what that does to the logits is its sensitivity. Then lists are tried
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

from ..runtime.errors import OutputError
from .graph import Graph
from .judge import Judge, Loss, Score
from .pictures import CalibrationSet
from .placement import candidates
from .quantize import quantize
from .ranges import Range

SENSITIVITY_PICTURES = 8
RESERVE = 0.5
"""The share of each budget that the search leaves unspent. What a list costs on one set of pictures it does not cost
exactly on another: LRASPP on CamVid, 0.8 points of a class on 80 held-back pictures and 1.2 on the 101 of val."""
_QUANTIZER = 1
"""Counts changes of what ``quantize`` makes of the same input; trials of another count are measured again."""

Notify = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much; a total of 0 is not known yet."""


@dataclass(frozen=True)
class Trial:
    """One exclusion list, measured.

    Attributes:
        method: whose ranges.
        excluded: what stays in float.
        int8_macs: share of the multiply-accumulates in INT8.
        score: on the held-back pictures.
        loss: against the float graph.
    """

    method: str
    excluded: tuple[str, ...]
    int8_macs: float
    score: Score
    loss: Loss


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        reference: the float graph's score.
        plain: everything quantized, with the method that was chosen.
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
    ) -> None:
        self._graph, self._pictures, self._target, self._ranges = graph, pictures, target, ranges
        self._budget, self._class_budget = budget, class_budget
        self._notify = notify
        self._judge = Judge(graph, pictures, num_classes, target)
        self._journal = _Journal(journal)
        self._trials: dict[tuple[str, tuple[str, ...]], Trial] = {}
        self._candidates = candidates(graph, target)
        self._reference = self._measure("the float graph", "float", self._candidates)

    def run(self) -> SearchResult:
        """Chooses the method, then the list.

        Raises:
            OutputError: the journal cannot be written.
        """
        # The logits tell methods apart better than IoU, in which few pixels of a rare class weigh much.
        plain = min((self.trial(method, ()) for method in self._ranges), key=lambda t: t.score.logit_error)
        chosen, sensitivity = plain, {}
        if not self._within(plain):
            sensitivity = self.sensitivity(plain.method)
            chosen = self._shortest(plain, sorted(sensitivity, key=lambda name: -sensitivity[name]))
        return SearchResult(self._reference, plain, chosen, tuple(self._trials.values()), sensitivity)

    def trial(self, method: str, excluded: Sequence[str]) -> Trial:
        """Measures a list on the held-back pictures, or remembers it."""
        names = tuple(excluded)
        key = (method, tuple(sorted(names)))
        if key not in self._trials:
            number = len(self._trials) + 1
            what = f"trial {number}: {method}, {len(names)} of {len(self._candidates)} in float"
            score = self._measure(what, method, names)
            share = int8_macs(self._graph, self._target, names)
            self._trials[key] = Trial(method, names, share, score, score.points_lost(self._reference))
        return self._trials[key]

    def sensitivity(self, method: str) -> dict[str, float]:
        """Quantizes each convolution alone; the relative logit error that each brings, in the graph's order."""
        positions = self._pictures.for_ranges
        step = max(1, len(positions) // SENSITIVITY_PICTURES)
        samples = list(self._pictures.read(positions[::step][:SENSITIVITY_PICTURES]))
        errors = {}
        for done, name in enumerate(self._candidates):
            self._notify("sensitivity, one convolution at a time", done, len(self._candidates))
            others = [other for other in self._candidates if other != name]

            def measure(others: Sequence[str] = others) -> float:
                model = quantize(self._graph, self._ranges[method], self._target, others)
                return self._judge.logit_error(model, samples)

            errors[name] = self._journal.number(self._key("sensitivity", method, [name]), measure)
        return errors

    def _shortest(self, plain: Trial, order: Sequence[str]) -> Trial:
        failing, passing = 0, 1
        while not self._within(best := self.trial(plain.method, order[:passing])):
            failing, passing = passing, min(2 * passing, len(order))
        while passing - failing > 1:
            middle = (failing + passing) // 2
            if self._within(candidate := self.trial(plain.method, order[:middle])):
                passing, best = middle, candidate
            else:
                failing = middle
        # What costs most in float is tried first.
        for name in sorted(best.excluded, key=lambda name: -self._graph.operators[name].macs):
            fewer = self.trial(plain.method, [other for other in best.excluded if other != name])
            if self._within(fewer):
                best = fewer
        return best

    def _measure(self, what: str, method: str, excluded: Sequence[str]) -> Score:
        total, done = len(self._pictures.held_back), 0

        def advance() -> None:
            nonlocal done
            done += 1
            self._notify(what, done, total)

        def measure() -> Score:
            model = self._graph.model
            if method != "float":
                model = quantize(self._graph, self._ranges[method], self._target, excluded)
            return self._judge.score(model, advance)

        return self._journal.score(self._key("score", method, excluded), measure)

    def _key(self, kind: str, method: str, names: Sequence[str]) -> str:
        pictures = sorted(self._pictures.hashes[index] for index in self._pictures.held_back)
        parts = [
            str(_QUANTIZER), kind, self._graph.sha256, self._pictures.sha256, *pictures, self._target,
            json.dumps(sorted(self._ranges.get(method, {}).items())), *sorted(names),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def _within(self, trial: Trial) -> bool:
        spent = trial.loss.spent(self._budget, self._class_budget)
        return not trial.int8_macs or spent <= 1 - RESERVE


def int8_macs(graph: Graph, target: str, excluded: Sequence[str]) -> float:
    """The share of all multiply-accumulates that run in INT8, 0 to 1."""
    total = sum(operator.macs for operator in graph.operators.values())
    inside = set(candidates(graph, target)) - set(excluded)
    return sum(graph.operators[name].macs for name in inside) / total


class _Journal:
    """Measurements by key, one JSON object a line; what is already there is not measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, object]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
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

    def _get(self, key: str, measure: Callable[[], dict[str, object]]) -> dict[str, object]:
        if key not in self._known:
            entry = measure()
            if "class_iou" in entry:
                entry["class_iou"] = [None if v != v else v for v in entry["class_iou"]]  # type: ignore[attr-defined]
            self._known[key] = entry
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, **entry}) + "\n")
            except OSError as error:
                raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        return self._known[key]
