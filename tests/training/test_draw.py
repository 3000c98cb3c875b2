"""The images of each epoch: once each, or balanced by class; with images without masks beside."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from edgeseg.training.batches import EpochBatches
from edgeseg.training.draw import Draw, balanced_chances


def numbers(draw: Draw, epoch: int) -> list[int]:
    return [number for batch in draw.batches(epoch) for number, _ in batch]


def test_each_image_comes_once_in_an_epoch_and_in_another_order_in_the_next() -> None:
    draw = Draw(10, 3, seed=4)
    assert len(draw) == len(draw.batches(0)) == 3
    assert len(set(numbers(draw, 0))) == 9
    assert numbers(draw, 0) != numbers(draw, 1)
    assert draw.batches(1) == Draw(10, 3, seed=4).batches(1)
    assert draw.batches(1) != Draw(10, 3, seed=5).batches(1)


def test_processes_share_the_batches_of_one() -> None:
    draw = Draw(12, 4, 0, np.full(12, 1 / 12), unlabelled=7, unlabelled_share=0.5)
    shares = []
    for rank in range(2):
        batches = EpochBatches(draw, rank, 2)
        batches.epoch = 3
        shares.append(list(batches))
    for whole, first, second in zip(draw.batches(3), *shares, strict=True):
        assert whole[0::2] == first
        assert whole[1::2] == second


class TestBalance:
    BY_IMAGE = np.array([[100, 0]] * 9 + [[50, 50]], np.int64)

    def test_none_is_none(self) -> None:
        assert balanced_chances(self.BY_IMAGE, 0.0) is None

    def test_the_rare_class_is_drawn_more_often_the_higher_the_balance(self) -> None:
        rare = []
        for balance in (0.25, 0.5, 1.0):
            chances = balanced_chances(self.BY_IMAGE, balance)
            assert chances is not None
            assert chances.sum() == pytest.approx(1)
            rare.append(chances[-1])
        assert 0.1 < rare[0] < rare[1] < rare[2]
        # The image has all of class 1, and half a share of the 9.5 of class 0.
        assert rare[2] == pytest.approx((0.5 / 9.5 + 1) / 2)

    def test_no_image_is_learnt_by_heart(self) -> None:
        by_image = np.array([[100, 0]] * 99 + [[50, 50]], np.int64)
        chances = balanced_chances(by_image, 1.0)
        assert chances is not None
        drawn = Counter(numbers(Draw(100, 1, 0, chances), 0))
        # A tenth of the draws before the shares are scaled to 1 again, which leaves the others 0.49.
        assert drawn[99] == pytest.approx(100 * 0.1 / 0.6, abs=1)

    def test_an_epoch_has_the_expected_draws_of_each_image(self) -> None:
        chances = balanced_chances(self.BY_IMAGE, 1.0)
        assert chances is not None
        draw = Draw(10, 2, 1, chances)
        for epoch in range(20):
            drawn = Counter(numbers(draw, epoch))
            for image, chance in enumerate(chances):
                assert abs(drawn[image] - 10 * chance) < 1
        again = draw.batches(2)
        assert again == Draw(10, 2, 1, chances).batches(2)
        seeds = [seed for batch in again for number, seed in batch if number == 9]
        assert len(seeds) == len(set(seeds)) > 1

    def test_images_without_a_label_are_not_drawn_at_one(self) -> None:
        chances = balanced_chances(np.array([[4, 0], [0, 4], [0, 0]], np.int64), 1.0)
        assert chances is not None
        assert chances.tolist() == [0.5, 0.5, 0.0]


class TestUnlabelled:
    @pytest.mark.parametrize(
        ("batch_size", "share", "sizes"), [(8, 0.5, (4, 4)), (8, 0.01, (7, 1)), (8, 0.99, (1, 7)), (2, 0.5, (1, 1))]
    )  # fmt: skip
    def test_a_batch_has_both(self, batch_size: int, share: float, sizes: tuple[int, int]) -> None:
        draw = Draw(20, batch_size, 0, None, 30, share)
        assert (draw.labelled_size, draw.unlabelled_size) == sizes
        for batch in draw.batches(0):
            free = sum(number >= 20 for number, _ in batch)
            assert (len(batch) - free, free) == sizes

    def test_all_labelled_images_come_and_the_others_evenly_over_epochs(self) -> None:
        draw = Draw(8, 4, 0, None, 5, 0.5)
        drawn = Counter(number for epoch in range(5) for number in numbers(draw, epoch))
        assert {drawn[number] for number in range(8)} == {5}
        # 5 epochs of 4 batches of 2 are 40 draws of 5 images.
        assert {drawn[number] for number in range(8, 13)} == {8}

    def test_they_change_nothing_in_the_draw_of_the_labelled(self) -> None:
        both = [[pair for pair in batch if pair[0] < 8] for batch in Draw(8, 4, 3, None, 5, 0.5).batches(2)]
        assert both == Draw(8, 2, 3).batches(2)
