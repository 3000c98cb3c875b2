"""How far a build is, as TensorRT's own monitor tells it, and the way to stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes:
        fraction: of the whole build, 0 to 1; it never falls.
        phase: what TensorRT is doing, in its own words.
    """

    fraction: float
    phase: str
