"""The options of the stabiliser. This module is light, because the command line needs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ...core.errors import UsageError

Method = Literal["flow", "pose"]
"""Along optical flow, or along flat ground by the pose of the vehicle."""
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class StabiliserOptions:
    """The options of averaging class maps.

    Attributes:
        method: what gives the motion.
        hazards: names of the classes that enter at once and leave slowly.
        keep: share that the average keeps with each frame. At 0.7 a change counts when two frames in a row show it.
        keep_hazard: the same for a hazard that is not seen any more. At 0.85 it is kept for four frames.
        longest_px: the longer side of the small images that the work is done on.
        most_steps: grey levels by which a pixel may differ from what it was; beyond them it is not averaged.
        least_alike: share of the pixels that has to be alike; with less it is another scene.
        least_in_view: share of the pixels that has to have been in view before; with less it is another scene.
        longest_gap_s: seconds between frames beyond which nothing is averaged; infinite for a film.

    Raises:
        UsageError: an option is out of range.
    """

    method: Method = "flow"
    hazards: tuple[str, ...] = ()
    keep: float = 0.7
    keep_hazard: float = 0.85
    longest_px: int = 320
    most_steps: float = 9.0
    least_alike: float = 0.6
    least_in_view: float = 0.25
    longest_gap_s: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"class maps cannot be stabilised by {self.method!r}; expected {' or '.join(METHODS)}"
            )
        for name, least, most in (
            ("keep", 0.0, 0.95), ("keep_hazard", 0.0, 0.99), ("longest_px", 32, 4096), ("most_steps", 1.0, 255.0),
            ("least_alike", 0.0, 1.0), ("least_in_view", 0.0, 1.0), ("longest_gap_s", 0.001, math.inf),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"{name} is {getattr(self, name):g}; expected {least:g} to {most:g}")
