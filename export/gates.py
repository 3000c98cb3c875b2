"""The gates: how far a variant may depart from the PyTorch reference before it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .parity import ParitySummary


@dataclass(frozen=True)
class Gates:
    """Limits on what parity measures. Shares are of 1: 0.001 is 0.1 %.

    **Ties.** Two exact computations of one network differ by rounding. Where the reference's best two
    logits are closer than that, its choice is itself a coin's toss, and a flip there says nothing about the variant.
    ``tie_margin`` is that distance as a share of the logits' root mean square on the frame. For float32,
    rounding (6e-8 each) over about 70 layers that each sum about 1000 products grows like the root of their number, to
    1.6e-5; doubled for two logits, and with room for a heavy tail, 1e-4. For float16 sums are kept in float32 and
    only activations are rounded (4.9e-4 each), 70 times: 4e-3, and doubled about 1e-2.

    **Small classes.** A class of n pixels loses 100 / n points of IoU by one pixel. Below ``min_class_pixels`` the
    class gate would judge single pixels on one object's edge: at 2000, half a point is 10 pixels. Such classes are
    reported, not judged.

    Attributes:
        real_disagreement: share of all pixels that may differ where the reference is no tie.
        class_drop: IoU that any class may lose.
        logit_error: largest difference of a logit, as a share of the logits' root mean square. It sees what
            no pixel shows, such as a class that the frames do not have.
        tie_margin: the reference margin, as a share of the logits' root mean square, up to which a pixel is a tie.
        min_class_pixels: pixels that a class needs in the frames to be judged on its own.
    """

    real_disagreement: float
    logit_error: float
    tie_margin: float
    class_drop: float = 0.005
    min_class_pixels: int = 2000

    @classmethod
    def for_precision(cls, precision: str) -> Gates:
        """The defaults of a precision, ``fp32`` or ``fp16``."""
        return _DEFAULTS[precision]

    def judge(self, summary: ParitySummary) -> tuple[GateResult, ...]:
        """Holds a measurement against every gate, in a fixed order."""
        worst = summary.worst_class
        drop = worst.drop if worst is not None else 0.0
        assert drop is not None
        return (
            GateResult(
                "finite logits",
                passed=summary.non_finite_frames == 0,
                measured=float(summary.non_finite_frames),
                limit=0.0,
                text=f"{summary.non_finite_frames} of {summary.frames} frames have logits that are not finite",
            ),
            GateResult(
                "real disagreement",
                passed=summary.real_disagreement <= self.real_disagreement,
                measured=summary.real_disagreement,
                limit=self.real_disagreement,
                text=f"{_percent(summary.real_disagreement)} of the pixels differ where the reference is no tie, "
                f"above {_percent(self.real_disagreement)}",
            ),
            GateResult(
                "class IoU",
                passed=drop <= self.class_drop,
                measured=drop,
                limit=self.class_drop,
                text=f"class {worst.name if worst else 'none'!r} loses {100 * drop:.2f} points of IoU, "
                f"above {100 * self.class_drop:g}",
                label=worst.name if worst is not None else "",
            ),
            GateResult(
                "logit error",
                passed=summary.relative_logit_error <= self.logit_error,
                measured=summary.relative_logit_error,
                limit=self.logit_error,
                text=f"a logit of class {summary.worst_logit_class!r} is off by "
                f"{_percent(summary.relative_logit_error)} of the logits' root mean square, "
                f"above {_percent(self.logit_error)}",
                label=summary.worst_logit_class,
            ),
        )


_DEFAULTS = {
    "fp32": Gates(real_disagreement=1e-4, logit_error=1e-2, tie_margin=1e-4),
    "fp16": Gates(real_disagreement=1e-3, logit_error=0.2, tie_margin=1e-2),
}


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict.

    Attributes:
        gate: its name.
        passed: whether the measurement is within the limit.
        measured, limit: both in the gate's own unit.
        text: what is wrong, for a message; meant for where it did not pass.
        label: the class it hangs on, or empty.
    """

    gate: str
    passed: bool
    measured: float
    limit: float
    text: str
    label: str = ""


def failures(results: Sequence[GateResult]) -> str:
    """One sentence on the gates that did not pass; empty where all did."""
    return "; ".join(f"{result.gate}: {result.text}" for result in results if not result.passed)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
