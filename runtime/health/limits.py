"""What a run promises about its results, and when it says that it does not know."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """When a result may be acted on, and how long is waited for what does not answer. Times are in seconds.

    Attributes:
        max_age_s: a live result older than this is ``stale``.
        frozen_after_s: a live source that has given one frame for longer than this is ``frozen``; 0 switches it off.
        check_frames: whether black and white frames are ``dark`` and ``saturated``.
        heartbeat_hz: how often a second the run says how it is doing, with or without frames.
        deadline_ms: milliseconds from capture to class map; later results are counted; None for no deadline.
        inference_timeout_s: inference that has not answered for this long has failed; after twice as long a live run
            ends.
        start_timeout_s: opening the network, and its first frames, may take this long; engines that are built are not
            counted.
        restarts: so often the network may be opened again within ``restarts_within_s``, before the run ends.
        restarts_within_s: see ``restarts``.

    Raises:
        UsageError: one of them is out of its range.
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
