"""The limits of a run: the promises about its results, and the time to wait for parts that do not answer."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """The limits of a run: when a result is valid, and how long the run waits. Times are in seconds.

    Attributes:
        max_age_s: a live result older than this is ``stale``.
        frozen_after_s: a live source that repeats one frame for longer than this is ``frozen``; 0 turns this off.
        check_frames: True to mark black frames ``dark`` and white frames ``saturated``.
        heartbeat_hz: heartbeats a second, with or without frames.
        deadline_ms: milliseconds from capture to class map; later results are counted. None for no deadline.
        inference_timeout_s: inference that does not answer for this long has failed; after twice this time a live run
            ends.
        start_timeout_s: the longest time to open the network and run its first frames, without the time to build
            engines.
        restarts: number of times the network may be opened again within ``restarts_within_s`` before the run ends.
        restarts_within_s: see ``restarts``.

    Raises:
        UsageError: a limit is out of its range.
    """

    max_age_s: float = 1.0
    frozen_after_s: float = 3.0
    check_frames: bool = True
    heartbeat_hz: float = 5.0
    deadline_ms: float | None = None
    inference_timeout_s: float = 5.0
    start_timeout_s: float = 300.0
    restarts: int = 5
    restarts_within_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("max_age_s", "inference_timeout_s", "start_timeout_s", "restarts_within_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; expected more than 0 seconds")
        if not 0 <= self.frozen_after_s < float("inf"):
            raise UsageError(f"frozen_after_s is {self.frozen_after_s}; expected 0 (off) or more seconds")
        if not 0.1 <= self.heartbeat_hz <= 50:
            raise UsageError(f"heartbeat_hz is {self.heartbeat_hz}; expected 0.1 to 50 a second")
        if self.deadline_ms is not None and not 0 < self.deadline_ms < float("inf"):
            raise UsageError(f"deadline_ms is {self.deadline_ms}; expected more than 0 milliseconds")
        if self.restarts < 0:
            raise UsageError(f"restarts is {self.restarts}; expected 0 or more")

    @property
    def told_within_s(self) -> float:
        """The longest time from a fault to the first heartbeat that tells it: the greatest age and two beats."""
        return self.max_age_s + 2 / self.heartbeat_hz
