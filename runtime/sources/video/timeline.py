"""A film's frames placed by their time stamps: each one's number, and the number of missing frames before it."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from .film import FilmFrame

_AHEAD = 4
"""The number of frames that are examined after an unusual step. They are kept in memory meanwhile."""
_ENOUGH = 3
"""The number of steps that must be alike for their length to be the film's."""
_TOLERANCE = 0.25
_ROUNDING_S = 1e-3
"""Matroska and others round times to milliseconds."""
_EVEN_SHARE = 20
"""A film of one rate has at most one hole in this many frames; with more, its rate varies."""
_LONGEST_HOLE_S = 3600.0
_SETTLED = 25
_FALLBACK_STEP_S = 0.04
_EXACT = 0.02


class Placed(NamedTuple):
    """A frame in its place.

    Attributes:
        image: the frame.
        number: in the film, from 0. It rises from frame to frame, by more than one if frames are missing.
        time_s: the time at which it is shown, in seconds from the first frame. It rises too.
        missing: the number of frames that should be between it and the one before.
    """

    image: FilmFrame
    number: int
    time_s: float
    missing: int = 0


class Timeline:
    """Numbers the frames of a film by their times.

    While a film's frames follow each other at even steps, a longer step is a hole with missing frames: the numbers
    after it continue as if the frames were there. A film whose steps vary, as from telephones and screen recorders,
    does not show how many frames it should have; its frames are counted as they come, and none is missing. That starts
    when the steps prove uneven. Frames that come out of order near a hole are put in order.

    Args:
        read: returns the next frame; None at the end.
        fps: the rate that the film claims; None if it does not know.
        constant: True if the film's format always has one rate, so that many holes are damage.

    Attributes:
        missing: the number of missing frames until now; 0 if the film's rate varies.
        end_s: the end of the last frame's time, in seconds from the first frame.
    """

    def __init__(
        self, read: Callable[[], FilmFrame | None], fps: float | None, constant: bool = False
    ) -> None:
        self._read, self._constant = read, constant
        self._claimed_s = 1 / fps if fps else 0.0
        self._step_s = self._claimed_s or _FALLBACK_STEP_S
        self._ahead: deque[FilmFrame] = deque()
        self._even = True
        self._zero_s = self._last_s = 0.0
        self._number = -1
        self._count = self._odd_steps = 0
        self.missing = 0

    @property
    def end_s(self) -> float:
        """The end of the last frame's time, in seconds from the first frame."""
        return self._last_s + self._step_s

    def next(self) -> Placed | None:
        """Returns the next frame in its place; None at the end."""
        image = self._ahead.popleft() if self._ahead else self._read()
        if image is None:
            return None
        self._count += 1
        if self._number < 0:
            self._number, self._zero_s = 0, image.time_s
            return Placed(image, 0, 0.0)
        if self._even and not self._is_even(self._since_last(image)):
            image = self._judge(image)
        return self._place(image)

    def _place(self, image: FilmFrame) -> Placed:
        step_s = self._since_last(image)
        steps = max(1, round(step_s / self._step_s)) if self._even else 1
        if not 0 < step_s <= _LONGEST_HOLE_S:
            # The time stamps jump, as in joined films, or are missing: time goes on from here.
            steps, step_s = 1, self._step_s
            self._zero_s = image.time_s - self._last_s - step_s
        self._last_s += step_s
        self._number += steps
        self.missing += steps - 1
        if self._even and self._number >= _SETTLED:
            self._step_s = self._last_s / self._number
        elif not self._even:
            self._step_s = step_s
        return Placed(image, self._number, self._last_s, steps - 1)

    def _judge(self, image: FilmFrame) -> FilmFrame:
        """Decides what an unusual step means, from the steps after it.

        Returns:
            The frame that comes next: the same, or an earlier one.
        """
        while len(self._ahead) < _AHEAD and (later := self._read()) is not None:
            self._ahead.append(later)
        images = [image, *self._ahead]
        forward = sorted(
            (each for each in images if self._since_last(each) > 0), key=lambda each: each.time_s
        )
        self._ahead = deque([*forward, *(each for each in images if self._since_last(each) <= 0)])
        times = [self._zero_s + self._last_s, *(each.time_s for each in forward)]
        steps = [after - before for before, after in pairwise(times)]
        if self._number == 0:
            self._measure(steps)
        if (
            self._number
            and not self._constant
            and self._claimed_s > (1 + _EXACT) * self._last_s / self._number
        ):
            self._give_up()  # the claim is the mean of a rate that varies
        self._odd_steps += not steps or not self._is_even(steps[0])
        even = sum(self._is_even(step) for step in steps[1:])
        too_often = self._odd_steps > 1 + self._count // _EVEN_SHARE
        if not steps:
            uneven = too_often
        elif self._is_even(steps[0]):
            uneven = False  # the frames were only out of order, or the film's rate differs from its claim
        else:
            followed_by_even = 2 * even >= len(steps) - 1
            uneven = steps[0] < self._step_s or not followed_by_even or (too_often and not self._constant)
        if uneven:
            self._give_up()
        return self._ahead.popleft()

    def _measure(self, steps: list[float]) -> None:
        """Sets the film's step from its first frames, if these are alike and it claims another."""
        if not steps:
            return
        usual = statistics.median(steps)
        alike = sum(abs(step - usual) <= _TOLERANCE * usual + _ROUNDING_S for step in steps)
        if alike >= min(_ENOUGH, len(steps)):
            if self._claimed_s > (1 + _TOLERANCE) * usual + _ROUNDING_S and not self._constant:
                self._give_up()
            self._step_s = usual

    def _give_up(self) -> None:
        self._even, self.missing = False, 0

    def _since_last(self, image: FilmFrame) -> float:
        return image.time_s - self._zero_s - self._last_s

    def _is_even(self, step_s: float) -> bool:
        return abs(step_s - self._step_s) <= _TOLERANCE * self._step_s + _ROUNDING_S
