"""The gates: limits on a variant's differences from the PyTorch reference, beyond which it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...runtime.backends.auto.limits import CLASS_DROP, LIMITS, MIN_CLASS_PIXELS

if TYPE_CHECKING:
    from .headroom import Headroom
    from .parity import ParitySummary


@dataclass(frozen=True)
class Gates:
    """Limits on the figures of parity. Shares are of 1: 0.001 is 0.1 %.

    :class:`runtime.backends.auto.limits.RoundingLimits` explains ties, and the rounding that each precision allows.

    **INT8** is judged by its loss against the labels, within the budgets of its calibration, not by the number of
    pixels that change. Without labels no budget can be judged. One wide gate on changed pixels finds a broken variant
    when no budget can: without labels, or with a network that has no accuracy to lose.

    **Small classes.** One pixel costs a class of n pixels 100 / n points of IoU. Below ``min_class_pixels`` the class
    gate would judge single pixels on one object's edge: at 2000, half a point is 10 pixels. Such classes are
    reported, not judged.

    Attributes:
        real_disagreement: share of all pixels that may differ although the reference is no tie.
        logit_error: largest difference of a logit, as a share of the logits' root mean square. It also finds errors
            that change no pixel, such as in a class that the frames do not have. None turns this gate off.
        class_drop: IoU that any class may lose.
        miou_drop: mean IoU that may be lost; None turns this gate off.
        only_with_truth: judge losses of IoU only if there is truth.
        tie_margin: the reference margin, as a share of the logits' root mean square, up to which a pixel is a tie.
        min_class_pixels: pixels that a class needs in the frames to be judged by itself.
    """

    real_disagreement: float
    logit_error: float | None
    tie_margin: float
    class_drop: float = CLASS_DROP
    miou_drop: float | None = None
    only_with_truth: bool = False
    min_class_pixels: int = MIN_CLASS_PIXELS

    @classmethod
    def for_precision(
        cls, precision: str, calibration: Mapping[str, Any] | None = None, *, continuous: bool = True
    ) -> Gates:
        """Returns the default gates of a precision.

        Args:
            precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``: the format that numbers were rounded to.
            calibration: the manifest's, for ``int8``: its budgets, in points of 100, are the gates.
            continuous: the network's. If False, rounding alone may change single logits by a step: they are not judged.
        """
        defaults = _DEFAULTS[precision]
        if not continuous:
            defaults = replace(defaults, logit_error=None)
        if calibration is None:
            return defaults
        return replace(
            defaults,
            miou_drop=calibration["budget"] / 100,
            class_drop=calibration["class_budget"] / 100,
        )

    def judge(self, summary: ParitySummary) -> tuple[GateResult, ...]:
        """Compares a measurement with every gate that applies, in a fixed order."""
        results = [self._finite(summary), self._disagreement(summary)]
        if summary.has_truth and self.miou_drop is not None:
            results.append(self._mean(summary, self.miou_drop))
        if summary.has_truth or not self.only_with_truth:
            results.append(self._class(summary))
        if self.logit_error is not None:
            results.append(self._logits(summary, self.logit_error))
        return tuple(results)

    def _finite(self, summary: ParitySummary) -> GateResult:
        return GateResult(
            "finite logits",
            passed=summary.non_finite_frames == 0,
            measured=float(summary.non_finite_frames),
            limit=0.0,
            text=f"{summary.non_finite_frames} of {summary.frames} frames have logits that are not finite",
        )

    def _disagreement(self, summary: ParitySummary) -> GateResult:
        return GateResult(
            "real disagreement",
            passed=summary.real_disagreement <= self.real_disagreement,
            measured=summary.real_disagreement,
            limit=self.real_disagreement,
            text=f"{_percent(summary.real_disagreement)} of the pixels differ where the reference is no tie, "
            f"above {_percent(self.real_disagreement)}",
        )

    def _mean(self, summary: ParitySummary, limit: float) -> GateResult:
        # A variant without any finite logits has no IoU.
        lost = (summary.miou_reference or 0.0) - (summary.miou_variant or 0.0)
        return GateResult(
            "mean IoU",
            passed=lost <= limit,
            measured=lost,
            limit=limit,
            text=f"mean IoU falls by {100 * lost:.2f} points, above the budget of {100 * limit:g}",
        )

    def _class(self, summary: ParitySummary) -> GateResult:
        worst = summary.worst_class
        drop = worst.drop if worst is not None else 0.0
        assert drop is not None
        return GateResult(
            "class IoU",
            passed=drop <= self.class_drop,
            measured=drop,
            limit=self.class_drop,
            text=f"class {worst.name if worst else 'none'!r} loses {100 * drop:.2f} points of IoU, "
            f"above {100 * self.class_drop:g}",
            label=worst.name if worst is not None else "",
        )

    def _logits(self, summary: ParitySummary, limit: float) -> GateResult:
        return GateResult(
            "logit error",
            passed=summary.relative_logit_error <= limit,
            measured=summary.relative_logit_error,
            limit=limit,
            text=f"a logit of class {summary.worst_logit_class!r} is off by "
            f"{_percent(summary.relative_logit_error)} of the logits' root mean square, above {_percent(limit)}",
            label=summary.worst_logit_class,
        )


def judge_headroom(headroom: Headroom, limit: float) -> GateResult:
    """Judges the largest float16 activation of a graph: it must not exceed ``limit``."""
    without = headroom.without
    which = (
        f"{without[0]} and {len(without) - 1} more give" if len(without) > 1 else f"{headroom.operator} gives"
    )
    return GateResult(
        "float16 head-room",
        passed=not without,
        measured=headroom.largest,
        limit=limit,
        text=f"{which} values up to {headroom.largest:,.0f}, above {limit:,.0f}, a quarter of what float16 holds,"
        " so that a GPU may overflow on the way there; deploy it in fp32, or train with weights that stay smaller",
        operator=without[0] if without else headroom.operator,
    )


_DEFAULTS = {precision: Gates(**asdict(limits)) for precision, limits in LIMITS.items()}
_DEFAULTS["int8"] = replace(_DEFAULTS["int8"], class_drop=0.01, miou_drop=0.005, only_with_truth=True)


@dataclass(frozen=True)
class GateResult:
    """The verdict of one gate.

    Attributes:
        gate: the name of the gate.
        passed: whether the measurement is within the limit.
        measured, limit: both in the gate's own unit.
        text: the problem, for a message if it did not pass.
        label: the class that decided, or empty.
        operator: the operator that decided, or empty.
    """

    gate: str
    passed: bool
    measured: float
    limit: float
    text: str
    label: str = ""
    operator: str = ""


def note_of(summary: ParitySummary) -> str:
    """Returns a note on what no gate refuses: a network that has learned nothing passes parity like any other."""
    if summary.only_class is None:
        return ""
    frames = "the one frame" if summary.frames == 1 else f"all {summary.frames} frames"
    return f"predicts one class only, {summary.only_class!r}, on {frames}"


def failures(results: Sequence[GateResult]) -> str:
    """Returns one sentence on the gates that did not pass; empty if all did."""
    return "; ".join(f"{result.gate}: {result.text}" for result in results if not result.passed)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
