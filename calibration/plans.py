"""The plan of a target: found by the search, given as a list, or at hand from an earlier calibration."""

from __future__ import annotations

from ..core.errors import DataError
from .bias import shifts_as_json
from .images import CalibrationSet
from .judge import Judge
from .quantize import quantize
from .record import CalibrationRecord, Plan
from .request import CalibrationJob, CalibrationRequest
from .search import SearchResult
from .trials import int8_macs

_BLIND_METHOD = "percentile"
"""The default if nothing can be measured: the best of the three methods, or close to it, on every network here."""


def searched_plan(result: SearchResult, request: CalibrationRequest) -> Plan:
    """Returns what a search chose, with its measured losses and their bounds."""
    chosen = result.chosen
    order = sorted(chosen.excluded, key=lambda name: -result.sensitivity.get(name, 0.0))
    return Plan(
        method=chosen.method,
        excluded=tuple(order),
        searched=True,
        budget=request.budget,
        class_budget=request.class_budget,
        int8_macs=chosen.int8_macs,
        shifts=shifts_as_json(chosen.shifts),
        plain=result.plain.figures,
        chosen=chosen.figures,
    )


def given_plan(
    job: CalibrationJob, record: CalibrationRecord, target: str, excluded: tuple[str, ...]
) -> Plan:
    """Returns a plan for an exclusion list that was passed in, by the ranges of the earlier plan if there is one.

    Raises:
        DataError: there are no ranges by the asked method.
    """
    known = record.plans.get(target)
    method = job.request.method
    if method == "auto":
        method = known.method if known else _BLIND_METHOD
    return _unmeasured(job, record, target, method, excluded)


def blind_plan(job: CalibrationJob, images: CalibrationSet, record: CalibrationRecord, target: str) -> Plan:
    """Returns a plan without truth: only the logits choose the method, and everything is quantized."""
    judge = Judge(job.graph, images, 1, target)
    samples = list(images.read(images.held_out[:8]))
    errors = {
        method: judge.logit_error(quantize(job.graph, record.ranges[method], target), samples)
        for method in job.methods
    }
    return _unmeasured(job, record, target, min(errors, key=errors.__getitem__), ())


def _unmeasured(
    job: CalibrationJob, record: CalibrationRecord, target: str, method: str, excluded: tuple[str, ...]
) -> Plan:
    if method not in record.ranges:
        raise DataError(f"there are no {method} ranges; known here: {', '.join(record.ranges)}")
    return Plan(
        method=method,
        excluded=excluded,
        searched=False,
        budget=job.request.budget,
        class_budget=job.request.class_budget,
        int8_macs=int8_macs(job.graph, target, excluded),
    )


def plan_at_hand(record: CalibrationRecord, request: CalibrationRequest, target: str) -> Plan:
    """Returns the plan of an earlier calibration.

    Raises:
        DataError: there is none, or it is by another method or for wider budgets.
    """
    plan = record.plans.get(target)
    if plan is None:
        raise DataError(f"these ranges come without a plan for {target}; give images with --calibrate DIR")
    if request.method not in ("auto", plan.method):
        raise DataError(
            f"the existing plan for {target} takes {plan.method} ranges; for {request.method} ones give images"
            " with --calibrate DIR"
        )
    if plan.budget > request.budget or plan.class_budget > request.class_budget:
        raise DataError(
            f"the existing plan for {target} was searched for {plan.budget:g} points of mean IoU and "
            f"{plan.class_budget:g} of a class; for tighter budgets give images with --calibrate DIR"
        )
    return plan
