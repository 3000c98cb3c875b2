"""Frames placed by their times: films of one rate with holes, of rates that vary, and clocks that are set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from edgeseg.runtime.sources.video.film import FilmFrame
from edgeseg.runtime.sources.video.timeline import Placed, Timeline

FRAME = np.zeros((2, 2, 3), np.uint8)


def place(
    times_s: Sequence[float], fps: float | None = 25.0, constant: bool = False
) -> tuple[Timeline, list[Placed]]:
    images = iter([FilmFrame(FRAME, time_s) for time_s in times_s])
    timeline = Timeline(lambda: next(images, None), fps, constant)
    placed = []
    while (each := timeline.next()) is not None:
        placed.append(each)
    return timeline, placed


def numbers(placed: Sequence[Placed]) -> list[int]:
    return [each.number for each in placed]


def rise(placed: Sequence[Placed]) -> bool:
    return all(a.number < b.number and a.time_s < b.time_s for a, b in pairwise(placed))


def test_an_even_film_is_numbered_as_it_comes() -> None:
    timeline, placed = place([0.04 * i for i in range(50)])
    assert (numbers(placed), timeline.missing) == (list(range(50)), 0)
    assert timeline.end_s == pytest.approx(2.0)


@pytest.mark.parametrize("begin_s", [0.0, 1.44, 90_000.0])
@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 240.0])
def test_a_hole_is_counted_and_numbers_go_on_after_it(begin_s: float, fps: float) -> None:
    there = [i for i in range(60) if not 24 <= i < 36]
    timeline, placed = place([begin_s + round(i / fps, 3) for i in there], fps)
    assert (numbers(placed), timeline.missing) == (there, 12)
    assert [each.missing for each in placed if each.missing] == [12]
    assert placed[24].time_s == pytest.approx(36 / fps, abs=1e-3)


@pytest.mark.parametrize("claimed", [25.0, 50.0, None])
def test_a_hole_after_the_first_frame_whatever_the_film_claims(claimed: float | None) -> None:
    there = [0, 4, *range(5, 40)]
    assert numbers(place([0.04 * i for i in there], claimed)[1]) == there


def test_a_hole_before_the_last_frames() -> None:
    there = [*range(30), 35, 36]
    timeline, placed = place([0.04 * i for i in there])
    assert (numbers(placed), timeline.missing) == (there, 5)


def test_a_long_hole_is_counted_exactly_though_the_claim_is_rounded() -> None:
    there = [*range(3000), *range(60_000, 60_100)]
    timeline, placed = place([i * 1001 / 30000 for i in there], 30.0)
    assert numbers(placed) == there
    assert timeline.missing == 57_000


def test_frames_that_come_out_of_order_at_a_hole_are_put_in_order() -> None:
    """As H.264 gives them where the images that they refer to are missing."""
    there = [*range(22), 34, 23, *range(36, 60)]
    timeline, placed = place([0.04 * i for i in there], constant=True)
    assert numbers(placed) == sorted(there)
    assert timeline.missing == 12


@pytest.mark.parametrize(
    ("times_s", "fps"),
    [
        ([i / 30 for i in range(150)] + [5 + 4 * i / 30 for i in range(38)], 30.0),
        ([i / 30 for i in range(150)] + [5 + 4 * i / 30 for i in range(38)], 19.28),
        ([4 * i / 30 for i in range(38)] + [5 + i / 30 for i in range(150)], 19.28),
        ([i / 30 + 0.07 * (i // 10) for i in range(200)], 30.0),  # each tenth is a pause
        ([i / 30 + 0.07 * (i // 10) for i in range(200)], 25.0),
        ([sum(range(i)) * 0.01 for i in range(50)], 10.0),
        ([i // 2 * 0.083 + i % 2 * 0.05 for i in range(100)], 24.0),  # pulled down
    ],
)
def test_a_film_whose_rate_varies_lacks_nothing_and_keeps_its_times(times_s: list[float], fps: float) -> None:
    timeline, placed = place(times_s, fps)
    assert timeline.missing == 0
    assert len(placed) == len(times_s)
    assert rise(placed)
    if times_s == sorted(set(times_s)):
        assert [each.time_s for each in placed] == pytest.approx([time_s - times_s[0] for time_s in times_s])


def test_many_holes_in_a_form_of_one_rate_are_damage() -> None:
    there = [i for i in range(300) if i % 12 != 5]
    timeline, placed = place([0.04 * i for i in there], constant=True)
    assert (numbers(placed), timeline.missing) == (there, 25)


def test_a_clock_that_is_set_back_goes_on() -> None:
    timeline, placed = place([0.04 * i for i in range(50)] + [0.04 * i for i in range(50)], constant=True)
    assert (numbers(placed), timeline.missing) == (list(range(100)), 0)
    assert placed[-1].time_s == pytest.approx(3.96)


def test_a_film_without_times_has_those_of_its_rate() -> None:
    timeline, placed = place([0.0] * 60)
    assert (numbers(placed), timeline.missing) == (list(range(60)), 0)
    assert [each.time_s for each in placed] == pytest.approx([0.04 * i for i in range(60)])


def test_a_film_of_one_frame_and_of_none() -> None:
    assert numbers(place([3.0])[1]) == [0]
    assert place([])[1] == []
