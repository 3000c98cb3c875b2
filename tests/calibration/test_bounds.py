"""Upper bounds of losses: how often they hold in a simulation, what they can prove, and what they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.calibration.bounds import CONFIDENCE, MIN_IMAGES, Proof, loss_at_most, upper_bounds
from edgeseg.calibration.judge import MIN_CLASS_PIXELS, Score
from edgeseg.calibration.search import UNPROVEN_SHARE, by_bound, unproven_line
from edgeseg.calibration.trials import Trial


def score(true: np.ndarray, both: np.ndarray) -> Score:
    """A score without false positives, so that IoU is both over true; [images, C]."""
    counts = np.stack([true, both, both], axis=1).astype(np.int64)
    return Score(counts, np.zeros((len(true), 2)))


def drawn(random: np.random.Generator, images: int, alike: int = 1) -> tuple[Score, Score]:
    """Draws images of three classes: their sizes and losses are skewed, those of ``alike`` neighbours are the same."""

    def repeated(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, alike, axis=0)[:images]

    runs = -(-images // alike)
    true = 3000 * repeated(random.lognormal(0, 0.5, (runs, 3)))
    found = random.beta(6, 4, (images, 3))
    lost = repeated(random.gamma(2, 0.0045, (runs, 3))) - 0.002 + random.normal(0, 0.01, (images, 3))
    return score(true, true * found), score(true, true * np.clip(found - lost, 0, 1))


def trial(reference: Score, quantized: Score) -> Trial:
    loss, at_most = quantized.points_lost(reference), loss_at_most(reference, quantized)
    return Trial("minmax", (), {}, 1.0, quantized, loss, at_most)


def test_where_all_images_weigh_the_same_the_bound_is_that_of_the_mean() -> None:
    random = np.random.default_rng(1)
    lost = random.normal(20, 30, (1000, 1))
    true = np.full((1000, 1), 10000)
    quantized = score(true, 5000 - np.rint(lost))
    of_mean, (of_class,) = upper_bounds(score(true, true / 2), quantized)
    wanted = (np.rint(lost).mean() + 1.645 * lost.std() / np.sqrt(1000)) / 100
    assert of_class == of_mean == pytest.approx(wanted, abs=0.15 * 1.645 * lost.std() / np.sqrt(1000) / 100)


@pytest.mark.parametrize("images", [80, 20])
def test_the_bounds_hold_as_often_as_they_say(images: int) -> None:
    random = np.random.default_rng(7)
    everything = drawn(random, 300_000)
    classes = 100 * (everything[0].class_iou - everything[1].class_iou)
    held = []
    for _ in range(400):
        of_mean, of_classes = upper_bounds(*drawn(random, images))
        held.append([of_mean >= classes.mean(), *(of_classes >= classes)])
    # In 400 draws the share of a 95 % bound has a standard deviation of 1.1 points.
    assert (np.abs(np.mean(held, axis=0) - CONFIDENCE) < 0.035).all(), np.mean(held, axis=0)


def test_neighbours_that_lose_alike_widen_the_bounds() -> None:
    random = np.random.default_rng(3)
    true_loss = drawn(random, 300_000, 3)
    classes = 100 * (true_loss[0].class_iou - true_loss[1].class_iou)
    held, held_if_shuffled = [], []
    for _ in range(200):
        reference, quantized = drawn(random, 81, 3)
        order = random.permutation(81)
        held.append(upper_bounds(reference, quantized)[1] >= classes)
        held_if_shuffled.append(upper_bounds(reference.of(order), quantized.of(order))[1] >= classes)
    assert np.mean(held) > 0.9
    assert np.mean(held) > np.mean(held_if_shuffled) + 0.02


def test_the_same_images_give_the_same_bounds() -> None:
    reference, quantized = drawn(np.random.default_rng(0), 40)
    first = upper_bounds(reference, quantized)
    np.random.default_rng().random(10)
    again = upper_bounds(reference.of(range(40)), quantized.of(range(40)))
    assert first[0] == again[0]
    assert first[1].tolist() == again[1].tolist()


def test_what_loses_nothing_has_a_bound_of_nothing() -> None:
    reference, _ = drawn(np.random.default_rng(0), 40)
    of_mean, of_classes = upper_bounds(reference, reference)
    assert of_mean == 0
    assert of_classes.tolist() == [0, 0, 0]


def test_one_image_that_loses_counts_as_one_event_of_a_rare_kind() -> None:
    true = np.full((80, 1), 1000)
    both = np.full((80, 1), 800)
    reference = score(true, both)
    both = both.copy()
    both[17] -= 80
    (found,) = upper_bounds(reference, score(true, both))[1]
    lost = 80 / 80_000 * 100
    # One event in a time of observation: with 95 % confidence at most 4.74 are to be expected.
    assert found == pytest.approx(4.74 * lost, rel=0.1)


def test_a_bound_is_never_below_the_measured_loss() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        reference, quantized = drawn(random, 6)
        found, loss = loss_at_most(reference, quantized), quantized.points_lost(reference)
        assert found.miou >= loss.miou
        assert found.worst_class >= loss.worst_class


def seen_in(images: int, positions: list[int], pixels: int = 1000) -> Score:
    """A class in all images, and one in some of them; 90 % of both are found."""
    true = np.zeros((images, 2), int)
    true[:, 0] = 5000
    true[positions, 1] = pixels
    return score(true, true * 9 // 10)


@pytest.mark.parametrize(
    ("positions", "pixels", "proven"),
    [
        ([3, 20, 40, 60, 77], 1000, True),
        ([3, 20, 40, 60], 1000, False),  # in four images
        ([3, 20, 40, 60, 77], MIN_CLASS_PIXELS // 5 - 1, False),  # too small
        ([30, 31, 32, 33, 34], 1000, False),  # one event of a video: every tenth resample lacks it
        ([], 1000, False),
    ],
)
def test_a_rare_class_has_no_bound(positions: list[int], pixels: int, proven: bool) -> None:
    reference = seen_in(80, positions, pixels)
    proof = Proof.of(reference)
    assert proof.classes.tolist() == [True, proven]
    assert proof.images_with.tolist() == [80, len(positions)]
    assert proof.pixels.tolist() == [400_000, pixels * len(positions)]
    assert proof.miou
    found = loss_at_most(reference, score(reference.counts[:, 0], reference.counts[:, 2] - 1))
    assert found.worst_class_id == (1 if proven else 0)


def test_what_cannot_be_proven_is_one_line() -> None:
    proof = Proof.of(seen_in(80, [3, 20, 40]))
    assert unproven_line(proof, ["road", "boat"]) == (
        "the held-out images cannot prove the budget for boat (3000 pixels in 3 images): that takes 2000 pixels in 5"
        " images that are no neighbours. Without proof the measured loss is held to half of the budget, and below 2000"
        " pixels a class is not judged"
    )
    assert unproven_line(proof, ["road", "boat"], ("boat",)) == ""
    assert unproven_line(Proof.of(seen_in(80, list(range(80)))), ["road", "boat"]) == ""
    few = Proof.of(seen_in(MIN_IMAGES - 1, [0]))
    assert unproven_line(few, ["road", "boat"]).startswith(
        "the held-out images cannot prove the budget for mean IoU (4 images), road (20000 pixels in 4 images), boat ("
    )


def losing(reference: Score, share: float, index: int) -> Score:
    """The same score with a share of what a class finds lost in every image."""
    true, both = reference.counts[:, 0], reference.counts[:, 2].astype(float)
    both[:, index] *= 1 - share
    return score(true, np.rint(both))


def test_a_class_without_a_bound_is_held_to_half_of_its_budget() -> None:
    reference = seen_in(80, [3, 20, 40])
    for points, within in ((0.4, True), (0.5, False)):  # of an IoU of 90
        quantized = losing(reference, points / 90, 1)
        assert quantized.points_lost(reference).worst_class == pytest.approx(points)
        assert (by_bound(trial(reference, quantized), reference, 5.0, 0.9) <= 1) is within
    small = seen_in(80, [3, 20, 40], 600)  # below the least number of pixels
    assert by_bound(trial(small, losing(small, 0.5, 1)), small, 30.0, 0.9) < 1


def test_few_images_hold_mean_iou_to_half_of_its_budget() -> None:
    reference = seen_in(4, [0, 1, 2, 3])
    quantized = losing(reference, 0.01, 0)
    found = trial(reference, quantized)
    lost = found.loss.miou
    assert found.at_most.miou == np.inf
    assert found.figures["miou_lost"] == lost
    assert "miou_lost_at_most" not in found.figures
    assert "worst_class_lost_at_most" not in found.figures
    assert by_bound(found, reference, lost / UNPROVEN_SHARE * 1.01, 10) <= 1
    assert by_bound(found, reference, lost / UNPROVEN_SHARE * 0.99, 10) > 1


def test_a_loss_that_varies_has_to_leave_more_of_the_budget() -> None:
    random = np.random.default_rng(2)
    reference = seen_in(80, list(range(80)))
    true, both = reference.counts[:, 0], reference.counts[:, 2]
    steady, varying = both.copy(), both.copy()
    steady[:, 0] -= 20
    varying[random.choice(80, 4, replace=False), 0] -= 400
    spent = []
    for found in (steady, varying):
        quantized = score(true, found)
        assert quantized.points_lost(reference).worst_class == pytest.approx(0.4)
        spent.append(by_bound(trial(reference, quantized), reference, 0.5, 1.0))
    assert spent[0] == pytest.approx(0.4)
    assert spent[1] > 0.6
