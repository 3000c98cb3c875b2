"""Cross-fitting: the share of plans that keep INT8's budgets on images that the search did not see.

The labelled images are split in two by groups. The search runs on one part and its plan is measured on the other; then
the parts change places. Each rule for the budgets searches on the same parts. Ranges and biases come from other images,
once, so that a plan gives the same masks in every split: it is measured once on each image, and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from ..calibration.calibrate import RECORD_NAME, make_folder, measured_ranges
from ..calibration.graph import Graph
from ..calibration.images import CalibrationSet, survey
from ..calibration.judge import Loss, Score
from ..calibration.placement import TARGETS
from ..calibration.ranges import METHODS
from ..calibration.record import CalibrationRecord
from ..calibration.search import BudgetSearch, Rule, by_bound
from ..calibration.trials import Measurements, Notify, SearchInput, Trial
from ..core.errors import DataError, UsageError
from ..core.labels import LabelMap
from ..data.groups import GroupOf, choose_val, parse_group
from ..data.images import LabelledImages, VocImages
from ..data.voc import Sample

RUN = 10
"""The number of neighbouring images that stay together if no group is given."""


def by_half(trial: Trial, reference: Score, budget: float, class_budget: float) -> float:
    """Holds the measured losses to a half of the budgets."""
    return 2 * by_whole(trial, reference, budget, class_budget)


def by_whole(trial: Trial, reference: Score, budget: float, class_budget: float) -> float:
    """Holds the measured losses to the budgets."""
    return trial.loss.spent(budget, class_budget)


RULES: Mapping[str, Rule] = {
    "the measured loss, no reserve": by_whole,
    "the measured loss, half in reserve": by_half,
    "the bound of 95 %": by_bound,
}


@dataclass(frozen=True)
class CrossFit:
    """A request for a cross-fit.

    Attributes:
        data: a data set in VOC layout; its ``train`` split gives the ranges.
        split: its images judge, without those for the ranges.
        splits: how many times they are split in two; each gives two searches for each target and rule.
        group: images of a group stay together, as ``data.groups.parse_group`` reads it; None for runs of ``RUN``.
        budget, class_budget: points of mean IoU, and of any class, that may be lost.
        correct_biases: whether the search may correct biases.
        targets: some of ``TARGETS``.
    """

    data: Path
    split: str = "val"
    splits: int = 10
    group: str | None = None
    budget: float = 0.5
    class_budget: float = 1.0
    correct_biases: bool = True
    targets: tuple[str, ...] = TARGETS

    def check(self) -> None:
        """Checks the values before a network is exported.

        Raises:
            UsageError: there is nothing to do, or the group is malformed.
        """
        if self.splits < 1:
            raise UsageError(f"--cross-fit {self.splits}: expected how many times to split, 1 or more")
        if self.group is not None:
            parse_group(self.group)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one search.

    Attributes:
        target, rule: of the search.
        trial: the chosen plan on the part that was searched on.
        lost: what it loses on the other part.
    """

    target: str
    rule: str
    trial: Trial
    lost: Loss

    def within(self, budget: float, class_budget: float) -> tuple[bool, bool]:
        """Returns True for mean IoU, and for every judged class, if they keep these budgets on the other part."""
        return self.lost.miou <= budget, self.lost.worst_class <= class_budget


def cross_fit(
    graph: Graph,
    labels: LabelMap,
    request: CrossFit,
    work: Path,
    notify: Notify = lambda text, done, total: None,
) -> list[Outcome]:
    """Searches on each part by each rule, and measures on the other.

    Args:
        graph: float32.
        labels: the network's classes.
        request: what to do.
        work: a folder that keeps ranges and measurements; made if it is missing.
        notify: called with the progress.

    Raises:
        UsageError: the images fall into one group.
        DataError: the data set is missing or malformed, or has other classes.
        OutputError: ``work`` cannot be written.
    """
    images = _images(request, labels)
    make_folder(work)
    ranges = _ranges(graph, images, work / RECORD_NAME, notify)
    parts = list(_parts([sample.id for sample in images.read(images.held_out)], request))
    outcomes = []
    for target in request.targets:
        given = SearchInput(graph, images, len(labels), target, ranges)
        measurements = Measurements(given, work / f"cross-fit-{target}.jsonl", notify)
        for searched, others in parts:
            part, other = measurements.part(searched), measurements.part(others)
            for name, rule in RULES.items():
                search = BudgetSearch(
                    part,
                    request.budget,
                    request.class_budget,
                    correct_biases=request.correct_biases,
                    rule=rule,
                )
                chosen = search.run().chosen
                there = other.trial(name, chosen.method, chosen.excluded, correct=bool(chosen.shifts))
                outcomes.append(Outcome(target, name, chosen, there.loss))
    return outcomes


def table(outcomes: Sequence[Outcome], budget: float, class_budget: float) -> str:
    """Returns one Markdown row for each target and rule."""
    lines = [
        "| target | rule | searches | mean IoU keeps | every class keeps | both keep | most lost: mean IoU, a class"
        " | in float: median, most | INT8 work |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for target in dict.fromkeys(outcome.target for outcome in outcomes):
        for rule in RULES:
            found = [o for o in outcomes if (o.target, o.rule) == (target, rule)]
            kept = [outcome.within(budget, class_budget) for outcome in found]
            counts = (sum(miou for miou, _ in kept), sum(each for _, each in kept), sum(map(all, kept)))
            worst = (max(o.lost.miou for o in found), max(o.lost.worst_class for o in found))
            floats = [len(outcome.trial.excluded) for outcome in found]
            lines.append(
                f"| {target} | {rule} | {len(found)} | {' | '.join(map(str, counts))} |"
                f" {round(worst[0], 2) + 0:.2f}, {round(worst[1], 2) + 0:.2f} |"
                f" {median(floats):g}, {max(floats)} | {100 * fmean(o.trial.int8_macs for o in found):.1f} % |"
            )
    return "\n".join(lines)


class _Joined(LabelledImages):
    """The images of two sources, one after the other."""

    def __init__(self, first: LabelledImages, second: LabelledImages) -> None:
        self._first, self._second = first, second
        self.name, self.labels = f"{first.name}, and {second.name}", second.labels

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def read(self, index: int) -> Sample:
        inside = index < len(self._first)
        return self._first.read(index) if inside else self._second.read(index - len(self._first))


def _images(request: CrossFit, labels: LabelMap) -> CalibrationSet:
    """Returns the images for the ranges, from ``train``, and all of the split's others as held out."""
    train, split = VocImages(request.data), VocImages(request.data, request.split)
    for_ranges, judged = survey(train, labels), survey(split, labels, max(2, len(split)))
    if not judged.has_truth:
        raise DataError(f"the labels of {split.name} are not the network's classes")
    hashes = {index: for_ranges.hashes[index] for index in for_ranges.for_ranges}
    others = {
        len(train) + index: digest
        for index, digest in judged.hashes.items()
        if digest not in set(hashes.values())
    }
    return CalibrationSet(
        images=_Joined(train, split),
        for_ranges=for_ranges.for_ranges,
        held_out=tuple(others),
        hashes={**hashes, **others},
        coverage=judged.coverage,
        has_truth=True,
    )


def _ranges(
    graph: Graph, images: CalibrationSet, path: Path, notify: Notify
) -> Mapping[str, Mapping[str, tuple[float, float]]]:
    if path.exists():
        record = CalibrationRecord.load(path)
        if not record.differences(graph, images):
            return record.ranges
    record = CalibrationRecord.of(graph, images, measured_ranges(graph, images, METHODS, notify))
    record.save(path)
    return record.ranges


def _parts(names: Sequence[str], request: CrossFit) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yields the positions to search on and those to measure on, twice for each split."""
    for seed in range(request.splits):
        chosen = choose_val(names, 0.5, _group_of(names, request.group), seed)
        one = tuple(index for index, name in enumerate(names) if name in chosen)
        other = tuple(index for index, name in enumerate(names) if name not in chosen)
        yield one, other
        yield other, one


def _group_of(names: Sequence[str], group: str | None) -> GroupOf:
    if group is not None:
        return parse_group(group)
    runs = {name: f"{index // RUN:06}" for index, name in enumerate(names)}
    return runs.__getitem__
