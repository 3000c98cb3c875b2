"""The accuracy-budget search: the fewest convolutions that must stay in float to keep the budgets.

If quantizing everything breaks a budget, the biases are corrected, which may be enough. If not, each convolution is
quantized alone; the error of the logits is its sensitivity. Then lists are tried by measured IoU: the most sensitive
convolutions stay in float. Their number grows until both budgets hold, then shrinks by bisection. At last each
convolution that the list does not need is removed. A budget holds if the upper bound of the loss is within it, so that
it holds on other images too. Every trial is recorded, so that an interrupted search continues where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .bounds import MIN_IMAGES, Proof
from .judge import MIN_CLASS_PIXELS, Loss, Score
from .trials import Measurements, Trial

UNPROVEN_SHARE = 0.5
"""The share of a budget that the measured loss may take where the held-out images cannot prove a bound. Another set of
images may lose more: LRASPP on CamVid lost 0.8 points of a class on 80 held-out images and 1.2 on the 101 of val."""
ASTRAY = 1.25
"""The largest factor by which corrected biases may raise the logits' error. With a factor of 2.3 (FCN-8s on CamVid),
mean IoU rose on the held-out images, but a class lost 1.2 points on others. With no rise, other images agreed."""

Rule = Callable[[Trial, Score, float, float], float]
"""A function of a trial, the float graph's score and both budgets. Returns the spent share: up to 1 is within both."""


def by_bound(trial: Trial, reference: Score, budget: float, class_budget: float) -> float:
    """Holds the bounds to the budgets, and to a half of them the measured losses that have no bound."""
    proof = Proof.of(reference)
    bounds = trial.at_most.miou if proof.miou else -np.inf, trial.at_most.worst_class
    proven = Loss(*bounds, trial.at_most.worst_class_id).spent(budget, class_budget)
    drops = 100 * (reference.class_iou - trial.score.class_iou)
    judged = (proof.pixels >= MIN_CLASS_PIXELS) & ~proof.classes & ~np.isnan(drops)
    unproven = Loss.worst(-np.inf if proof.miou else trial.loss.miou, drops, judged)
    return max(proven, unproven.spent(UNPROVEN_SHARE * budget, UNPROVEN_SHARE * class_budget))


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
        measurements: of the graph for the target.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        correct_biases: whether to try corrected biases before convolutions stay in float.
        rule: says whether a trial is within the budgets.
    """

    def __init__(
        self,
        measurements: Measurements,
        budget: float,
        class_budget: float,
        *,
        correct_biases: bool = True,
        rule: Rule = by_bound,
    ) -> None:
        self._measurements = measurements
        self._budgets = budget, class_budget
        self._correct_biases = correct_biases
        self._rule = rule
        self._trials: dict[tuple[str, bool, tuple[str, ...]], Trial] = {}

    def run(self) -> SearchResult:
        """Chooses the method, then the list.

        Raises:
            OutputError: the journal cannot be written.
        """
        measurements = self._measurements
        methods = measurements.given.ranges
        # The logits distinguish methods better than IoU, which depends strongly on few pixels of a rare class.
        plain = min((self.trial(method, ()) for method in methods), key=lambda t: t.score.logit_error)
        chosen, sensitivity = plain, {}
        if self._correct_biases and not self._within(plain):
            corrected = self.trial(plain.method, (), correct=True)
            if corrected.score.logit_error <= ASTRAY * plain.score.logit_error:
                chosen = min(plain, corrected, key=self._spent)
        if not self._within(chosen):
            sensitivity = measurements.sensitivity(plain.method)
            order = sorted(sensitivity, key=lambda name: -sensitivity[name])
            chosen = self._shortest(plain.method, order, correct=bool(chosen.shifts))
        return SearchResult(measurements.reference, plain, chosen, tuple(self._trials.values()), sensitivity)

    def trial(self, method: str, excluded: Sequence[str], *, correct: bool = False) -> Trial:
        """Measures a list on the held-out images, or returns its earlier trial; ``correct`` corrects the biases too."""
        names = tuple(excluded)
        key = (method, correct, tuple(sorted(names)))
        if key not in self._trials:
            in_float = f"{len(names)} of {len(self._measurements.candidates)} in float"
            biases = ", biases corrected" if correct else ""
            what = f"trial {len(self._trials) + 1}: {method}, {in_float}{biases}"
            self._trials[key] = self._measurements.trial(what, method, names, correct=correct)
        return self._trials[key]

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
        operators = self._measurements.given.graph.operators
        # The convolution that costs most in float is tried first.
        for name in sorted(best.excluded, key=lambda name: -operators[name].macs):
            fewer = trial([other for other in best.excluded if other != name])
            if self._within(fewer):
                best = fewer
        return best

    def _within(self, trial: Trial) -> bool:
        return not trial.int8_macs or self._spent(trial) <= 1

    def _spent(self, trial: Trial) -> float:
        return self._rule(trial, self._measurements.reference, *self._budgets)


def unproven_line(proof: Proof, classes: Sequence[str], known: Collection[str] = ()) -> str:
    """Returns one line on the budgets that the held-out images cannot prove; empty if they can prove all.

    Args:
        proof: of the held-out images.
        classes: the names of the classes.
        known: classes to leave out.
    """
    found = [
        f"{name} ({proof.pixels[index]} pixels in {proof.images_with[index]} images)"
        for index, name in enumerate(classes)
        if not proof.classes[index] and name not in known
    ]
    if not proof.miou:
        found.insert(0, f"mean IoU ({proof.images} images)")
    if not found:
        return ""
    return (
        f"the held-out images cannot prove the budget for {', '.join(found)}: that takes {MIN_CLASS_PIXELS} pixels in"
        f" {MIN_IMAGES} images that are no neighbours. Without proof the measured loss is held to half of the budget,"
        f" and below {MIN_CLASS_PIXELS} pixels a class is not judged"
    )
