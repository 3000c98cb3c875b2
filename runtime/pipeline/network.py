"""The network of a run: watched during inference, opened again after failures, replaced when it is too slow."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ...core.errors import EdgesegError, SessionError
from ...core.memory import give_back
from ..health.limits import Limits
from ..reasons import NOT_FINITE
from ..segmenter import Segmenter
from ..steps import Inference, PreparedFrame
from .restarts import RestartBudget

RAISED, OUT_OF_MEMORY, HUNG = "raised", "out-of-memory", "hung"
_FAILURES_BEFORE_REOPENING = 3
_PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0)

log = logging.getLogger(__name__)


class Network:
    """The segmenter that a run uses now.

    Only the inference thread calls :meth:`infer` and :meth:`mend`. Any thread may call the rest.

    Args:
        segmenters: open; first the one that was asked for, then smaller ones. The caller closes them.
        limits: the longest inference, and the number of times that the network may be opened again.
        survives: True if a failure loses only the frame; otherwise the failure is raised and ends the run.
        keep_frames: the number of prepared frames that each segmenter keeps.

    Attributes:
        level: the index of the segmenter that the next frame is prepared for.
    """

    def __init__(
        self, segmenters: Sequence[Segmenter], limits: Limits, survives: bool, keep_frames: int
    ) -> None:
        self._segmenters = list(segmenters)
        self.level = 0
        self._limits, self._survives, self._keep_frames = limits, survives, keep_frames
        self._budget = RestartBudget(limits.restarts, limits.restarts_within_s)
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._opened: dict[int, Segmenter] = {}
        self._began_at: float | None = None
        self._hang_reported = False
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
        """The number of failed inferences, by kind."""
        with self._lock:
            return dict(self._errors)

    def infer(self, segmenter: Segmenter, prepared: Sequence[PreparedFrame]) -> list[Inference] | None:
        """Infers frames. Returns None if that failed and the run survives it.

        Args:
            segmenter: the segmenter that the frames were prepared for.
            prepared: the frames.

        Raises:
            Exception: inference's own error, if the run does not survive it.
        """
        self._began_at = time.monotonic()
        try:
            if len(prepared) == 1:
                inferences = [segmenter.infer(prepared[0])]
            else:
                inferences = segmenter.infer_batch(prepared)
        except Exception as error:  # any backend error: sinks get invalid results, or failed() raises it
            self.failed(error)
            return None
        finally:
            self._began_at, self._hang_reported = None, False
        return inferences

    def failed(self, error: Exception, step: str = "inference") -> None:
        """Counts a failure with a frame, in any stage.

        Args:
            error: what was raised.
            step: what failed, for the log.

        Raises:
            Exception: ``error``, if the run does not survive it.
        """
        if not self._survives:
            raise error
        kind = OUT_OF_MEMORY if _is_out_of_memory(error) else RAISED
        self.count(kind)
        log.warning(
            "%s failed: %s", step, error, extra={"event": "inference-failed", "fields": {"kind": kind}}
        )
        with self._lock:
            self._in_a_row += 1
            self._cause = error

    def succeeded(self) -> None:
        """Notes that a frame has a class map."""
        with self._lock:
            self._in_a_row, self._reopened, self._cause = 0, 0, None

    def mend(self, when_idle: Callable[[], bool]) -> bool:
        """Opens the network again if failures persist.

        Args:
            when_idle: waits until nobody reads earlier inferences; returns True if the run goes on.

        Returns:
            True if that was tried. Frames that were prepared for the earlier network are then useless.

        Raises:
            SessionError: the network was opened again too often.
        """
        with self._lock:
            cause, broken = self._cause, self._in_a_row >= _FAILURES_BEFORE_REOPENING
        if not broken or time.monotonic() < self._next_try_at:
            return False
        self._reopen(cause, when_idle)
        return True

    def count(self, kind: str) -> None:
        """Counts an error."""
        with self._lock:
            self._errors[kind] += 1

    def count_not_finite(self) -> None:
        """Counts a result whose logits were not finite."""
        self.count(NOT_FINITE)

    def answers(self) -> bool:
        """Returns True if inference is not overdue.

        Raises:
            SessionError: inference is so late that it counts as hung for ever.
        """
        began_at = self._began_at
        if began_at is None:
            return True
        seconds = time.monotonic() - began_at
        if seconds <= self._limits.inference_timeout_s:
            return True
        if not self._hang_reported:
            self._hang_reported = True
            self.count(HUNG)
            log.error("inference has not answered for %.1f s", seconds, extra={"event": "inference-hung"})
        if self._survives and seconds > 2 * self._limits.inference_timeout_s:
            raise SessionError(
                f"inference has not answered for {seconds:.0f} s; the run ends, because only a new process can"
                " free the device (--inference-timeout sets how long is waited)"
            )
        return False

    def close(self) -> None:
        """Closes the segmenters that were opened again."""
        for segmenter in self._opened.values():
            segmenter.close()

    def _reopen(self, cause: Exception | None, when_idle: Callable[[], bool]) -> None:
        if not self._budget.spend():
            raise SessionError(
                f"inference failed again and again, and opening the network anew {self._limits.restarts} times"
                f" within {self._limits.restarts_within_s:g} s did not help: {cause}"
            ) from cause
        self._next_try_at = time.monotonic() + _PAUSES_SECONDS[min(self._reopened, len(_PAUSES_SECONDS) - 1)]
        self._reopened += 1
        if not when_idle():
            return
        level = self.level
        broken = self._segmenters[level]
        # Free its memory first: the next one may need it, above all on a device.
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
