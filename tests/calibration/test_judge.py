"""The cost of a quantized graph: the classes that are judged, and each loss against the budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.calibration.graph import Graph
from edgeseg.calibration.images import CalibrationSet
from edgeseg.calibration.judge import MIN_CLASS_PIXELS, Judge, Loss, Score
from edgeseg.calibration.quantize import quantize
from edgeseg.data.metrics import ConfusionMatrix
from edgeseg.runtime.decode import decode

from .conftest import Weights, build

NAN = float("nan")


def score(*class_iou: float, pixels: tuple[int, ...] | None = None) -> Score:
    """The score on one image in which nothing is predicted beyond the truth; NaN is an absent class."""
    true = np.where(np.isnan(class_iou), 0, pixels or MIN_CLASS_PIXELS)
    both = np.rint(true * np.nan_to_num(class_iou)).astype(np.int64)
    return Score(np.stack([true, both, both])[None], np.zeros((1, 2)))


def test_the_loss_is_in_points_and_names_the_worst_class() -> None:
    loss = score(0.8, 0.5, 0.6).points_lost(score(0.8, 0.53, 0.61))
    assert loss.miou == pytest.approx(100 * 0.04 / 3)
    assert loss.worst_class == pytest.approx(3)
    assert loss.worst_class_id == 1


def test_a_gain_is_a_negative_loss() -> None:
    loss = score(0.8, 0.6).points_lost(score(0.7, 0.55))
    assert loss.miou == pytest.approx(-7.5)
    assert loss.worst_class == pytest.approx(-5)
    assert loss.spent(0.5, 1.0) < 0


def test_absent_classes_have_no_say() -> None:
    loss = score(0.8, NAN, 0.6).points_lost(score(0.8, NAN, 0.62))
    assert loss.miou == pytest.approx(1)
    assert (loss.worst_class, loss.worst_class_id) == (pytest.approx(2), 2)


def test_small_classes_are_not_judged_on_their_own() -> None:
    few = (MIN_CLASS_PIXELS, MIN_CLASS_PIXELS - 1000)
    loss = score(0.8, 0.1, pixels=few).points_lost(score(0.81, 0.9, pixels=few))
    assert (loss.worst_class, loss.worst_class_id) == (pytest.approx(1), 0)
    none = score(0.8, 0.1, pixels=(100, 100)).points_lost(score(0.81, 0.9, pixels=(100, 100)))
    assert (none.worst_class, none.worst_class_id) == (0.0, -1)
    assert none.miou == pytest.approx(40.5)


@pytest.mark.parametrize(
    ("miou", "worst", "budgets", "spent"),
    [
        (0.25, 0.0, (0.5, 1.0), 0.5),
        (0.25, 0.9, (0.5, 1.0), 0.9),
        (1.0, 0.9, (0.5, 1.0), 2.0),
        (0.0, 0.0, (0.0, 0.0), 0.0),
        (-0.1, -0.2, (0.0, 0.0), 0.0),
        (1e-9, 0.0, (0.0, 1.0), float("inf")),
        (0.0, 1e-9, (1.0, 0.0), float("inf")),
    ],
)
def test_the_tighter_budget_counts(
    miou: float, worst: float, budgets: tuple[float, float], spent: float
) -> None:
    assert Loss(miou, worst, 0).spent(*budgets) == pytest.approx(spent)


def test_the_float_graph_scores_as_the_metrics_say(graph: Graph, images: CalibrationSet) -> None:
    from edgeseg.calibration.session import open_session

    matrix, session = ConfusionMatrix(3), open_session(graph.model)
    for sample in images.read(images.held_out):
        logits = session.run(None, {"frame": sample.frame_bgr[None]})[0][0]
        matrix.update(sample.mask, decode(logits, (32, 48)))
    found = Judge(graph, images, 3, "cpu").reference
    np.testing.assert_array_equal(found.class_iou, matrix.per_class_iou)
    assert found.miou == matrix.miou
    np.testing.assert_array_equal(found.pixels, matrix.counts.sum(1))
    assert found.logit_error == 0.0
    assert found.miou > 0.7, "the network by hand no longer tells the classes apart"
    assert min(found.pixels) >= MIN_CLASS_PIXELS


def test_a_part_of_the_images_scores_as_if_it_were_all(graph: Graph, images: CalibrationSet) -> None:
    whole = Judge(graph, images, 3, "cpu").reference
    assert whole.counts.shape == (6, 3, 3)
    few = replace(images, held_out=(images.held_out[4], images.held_out[1]))
    part = Judge(graph, few, 3, "cpu").reference
    np.testing.assert_array_equal(whole.of([4, 1]).counts, part.counts)
    np.testing.assert_array_equal(whole.of([4, 1]).squares, part.squares)


def test_images_of_another_size_are_judged_at_their_own(weights: Weights, images: CalibrationSet) -> None:
    large = Graph(build(weights, (64, 96)))
    steps: list[int] = []
    found = Judge(large, images, 3, "cpu").score(large.model, lambda: steps.append(1))
    assert sum(found.pixels) == len(images.held_out) * 32 * 48
    assert len(steps) == len(images.held_out)


def test_the_logit_error_needs_no_labels_and_is_of_the_logits(
    graph: Graph, weights: Weights, images: CalibrationSet
) -> None:
    double = {name: 2 * weights[name] for name in ("score.weight", "score.bias")}
    model = build({**weights, **double})
    judge = Judge(graph, images, 1, "cpu")
    assert judge.logit_error(model, list(images.read([0, 1]))) == pytest.approx(1, abs=1e-5)
    assert judge.logit_error(graph.model, list(images.read([0]))) == 0


def test_each_target_is_judged_by_its_own_numerics(
    graph: Graph,
    images: CalibrationSet,
    ranges: Mapping[str, Mapping[str, tuple[float, float]]],
    wants_exact_sums: Callable[[str], None],
) -> None:
    wants_exact_sums("cpu")
    model = quantize(graph, ranges["minmax"], "cpu")
    samples = list(images.read(images.held_out))
    fused, apart = (
        Judge(graph, images, 3, target).logit_error(model, samples) for target in ("cpu", "tensorrt")
    )
    # Integer kernels round sums once where the float ones round each product, so few steps differ.
    assert fused == pytest.approx(apart, rel=0.2)
    assert np.isfinite([fused, apart]).all()
    assert min(fused, apart) > 0
