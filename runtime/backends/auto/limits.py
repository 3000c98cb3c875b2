"""Limits for the effect of rounding, which verification's gates and ``--backend auto`` share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoundingLimits:
    """The allowed differences of a precision from the same network in float32. Shares are of 1: 0.001 is 0.1 %.

    **Ties.** Two correct computations of one network differ by rounding. If the reference's best two logits are closer
    than that, its own choice is random, and a different class there is no fault of the variant. ``tie_margin`` is that
    distance as a share of the logits' root mean square on the frame. For float32, rounding (6e-8 each) over about 70
    layers that each sum about 1000 products grows like the root of their number, to 1.6e-5; doubled for two logits, and
    with room for a heavy tail, 1e-4. For float16 the activations are rounded (4.9e-4 each), 70 times: 4e-3, and doubled
    about 1e-2. That holds if sums are kept in float32, as in most kernels. TensorRT does not promise it for any kernel
    (NVIDIA/TensorRT#2942), and a kernel that sums in float16 differs more: verify a bundle on the device that will run
    it. For bfloat16 the same as for float16, four times as coarse (2e-3 each): 1.6e-2, and doubled about 4e-2. For INT8
    an activation is rounded by 1/255 of its range, about 1e-2 of its root mean square, and errors of many layers
    average: 5e-2.

    bfloat16 has float16's other limits: more of its pixels count as ties, but it may not differ more elsewhere.

    Attributes:
        real_disagreement: share of all pixels that may differ outside the reference's ties.
        logit_error: largest difference of a logit, as a share of the logits' root mean square. It finds errors that
            change no pixel, such as in a class that the frames do not have. If None, logits are not compared.
        tie_margin: the reference margin, as a share of the logits' root mean square, up to which a pixel is a tie.
    """

    real_disagreement: float
    logit_error: float | None
    tie_margin: float


LIMITS = {
    "fp32": RoundingLimits(real_disagreement=1e-4, logit_error=1e-2, tie_margin=1e-4),
    "fp16": RoundingLimits(real_disagreement=1e-3, logit_error=0.2, tie_margin=1e-2),
    "bf16": RoundingLimits(real_disagreement=1e-3, logit_error=0.8, tie_margin=4e-2),
    "int8": RoundingLimits(real_disagreement=0.1, logit_error=None, tie_margin=5e-2),
}
"""By precision. INT8 is judged by its budgets, the cost against the labels, and not by the number of pixels that
change. Its wide limit on those finds broken variants that no budget finds."""

CLASS_DROP = 0.005
"""IoU that a class may lose."""

MIN_CLASS_PIXELS = 2000
"""A class with fewer pixels is not judged alone: half a point of it would be fewer than 10 pixels of one edge."""
