"""The network of a run: watched while it infers, opened again where it fails, changed where it is too slow."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ...core.errors import EdgesegError, FlightError
from ...core.memory import give_back
from ..health.limits import Limits
from ..reasons import NOT_FINITE
from ..segmenter import Segmenter
from ..steps import Inference, Prepared
from .restarts import RestartBudget

RAISED, OUT_OF_MEMORY, HUNG = "raised", "out-of-memory", "hung"
_FAILURES_BEFORE_REOPENING = 3
_PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0)

log = logging.getLogger(__name__)


class Network:
    """The segmenter that a run uses now. The inference thread alone calls :meth:`infer` and :meth:`mend`; any the rest.

    Args:
        segmenters: open, the one that was asked for first, then smaller ones; whoever opened them closes them.
        limits: how long inference may take, and how often the network may be opened again.
        survives: whether a failure costs the frame alone; otherwise it is raised, and ends the run.
        keep_frames: how many prepared frames each segmenter keeps.
        when_idle: waits until nobody reads what was inferred before, and says whether the run goes on.

    Attributes:
        level: which of the segmenters the next frame is prepared for.
    """

    def __init__(
        self,
        segmenters: Sequence[Segmenter],
        limits: Limits,
        survives: bool,
        keep_frames: int,
        when_idle: Callable[[], bool],
    ) -> None:
        self._segmenters = list(segmenters)
        self.level = 0
        self._limits, self._survives, self._keep_frames = limits, survives, keep_frames
        self._when_idle = when_idle
        self._budget = RestartBudget(limits.restarts, limits.restarts_within_s)
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._opened: dict[int, Segmenter] = {}
        self._began_at: float | None = None
        self._told_hung = False
        self._in_a_row = self._reopened = 0
        self._cause: Exception | None = None
        self._next_try_at = 0.0
        for segmenter in self._segmenters:
            segmenter.keep_frames(keep_frames)

    @property
    def current(self) -> Segmenter:
        """The segmenter that the next frame is prepared for."""
        return self._segmenters[self.level]

    @property
    def errors(self) -> Mapping[str, int]:
        """How often inference failed, by kind."""
        with self._lock:
            return dict(self._errors)

    def infer(self, segmenter: Segmenter, prepared: Sequence[Prepared]) -> list[Inference] | None:
        """Infers frames; None where that failed and the run survives it.

        Args:
            segmenter: that they were prepared for.
            prepared: frames.

        Raises:
            Exception: whatever inference raised, where the run does not survive it.
        """
        self._began_at = time.monotonic()
        try:
            if len(prepared) == 1:
                inferences = [segmenter.infer(prepared[0])]
            else:
                inferences = segmenter.infer_batch(prepared)
        except Exception as error:  # told to sinks as invalid results, counted, and raised where it goes on
            self.failed(error)
            return None
        finally:
            self._began_at, self._told_hung = None, False
        return inferences

    def failed(self, error: Exception) -> None:
        """Counts a failure with a frame, in whatever stage.

        Raises:
            Exception: ``error``, where the run does not survive it.
        """
        if not self._survives:
            raise error
        kind = OUT_OF_MEMORY if _is_out_of_memory(error) else RAISED
        self.count(kind)
        log.warning(
            "inference failed: %s", error, extra={"event": "inference-failed", "fields": {"kind": kind}}
        )
        with self._lock:
            self._in_a_row += 1
            self._cause = error

    def succeeded(self) -> None:
        """Notes that a frame has a class map."""
        with self._lock:
            self._in_a_row, self._reopened, self._cause = 0, 0, None

    def mend(self) -> bool:
        """Opens the network again where failures persist.

        Returns:
            Whether that was tried, so that frames that were prepared for the one before are of no use.

        Raises:
            FlightError: it has been done too often.
        """
        with self._lock:
            cause, broken = self._cause, self._in_a_row >= _FAILURES_BEFORE_REOPENING
        if not broken or time.monotonic() < self._next_try_at:
            return False
        self._reopen(cause)
        return True

    def count(self, kind: str) -> None:
        """Counts an error."""
        with self._lock:
            self._errors[kind] += 1

    def count_not_finite(self) -> None:
        """Counts a result whose logits were not finite."""
        self.count(NOT_FINITE)

    def answers(self) -> bool:
        """Whether inference is not overdue.

        Raises:
            FlightError: it has not answered for so long that it never will.
        """
        began_at = self._began_at
        if began_at is None:
            return True
        seconds = time.monotonic() - began_at
        if seconds <= self._limits.inference_timeout_s:
            return True
        if not self._told_hung:
            self._told_hung = True
            self.count(HUNG)
            log.error("inference has not answered for %.1f s", seconds, extra={"event": "inference-hung"})
        if self._survives and seconds > 2 * self._limits.inference_timeout_s:
            raise FlightError(
                f"inference has not answered for {seconds:.0f} s; the run ends, because only a new process can"
                " free the device (--inference-timeout sets how long is waited)"
            )
        return False

    def close(self) -> None:
        """Closes what was opened again."""
        for segmenter in self._opened.values():
            segmenter.close()

    def _reopen(self, cause: Exception | None) -> None:
        if not self._budget.spend():
            raise FlightError(
                f"inference failed again and again, and opening the network anew {self._limits.restarts} times"
                f" within {self._limits.restarts_within_s:g} s did not help: {cause}"
            ) from cause
        self._next_try_at = time.monotonic() + _PAUSES_SECONDS[min(self._reopened, len(_PAUSES_SECONDS) - 1)]
        self._reopened += 1
        if not self._when_idle():
            return
        level = self.level
        broken = self._segmenters[level]
        # What it holds may be just what the next one needs, on a device above all.
        broken.close()
        give_back()
        try:
            fresh = broken.again()
            fresh.warmup()
        except (EdgesegError, MemoryError, RuntimeError) as error:
            log.error("the network does not open again: %s", error, extra={"event": "network-lost"})
            return
        fresh.keep_frames(self._keep_frames)
        self._segmenters[level] = self._opened[level] = fresh
        with self._lock:
            self._in_a_row = 0
        log.warning("the network has been opened again", extra={"event": "network-back"})


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or "out of memory" in text
        or "bad_alloc" in text
        or "bad alloc" in text
    )
