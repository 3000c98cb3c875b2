"""The trial of ``--backend auto``'s candidates: it finds those with the right masks, and the fastest of them.

A bundle passed its gates with ONNX Runtime on a CPU, against PyTorch. So ONNX Runtime is the reference here, where
there is no PyTorch. Every other backend runs the same variant on the same frames. It is refused if it differs by more
than its precision's rounding may cause, and is timed in turn with the fastest so far.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....core.callbacks import OnMessage
from ....core.errors import BackendError, DataError, EdgesegError
from ....core.schemes import TRIAL_SOURCE
from ...bundle import Bundle, Variant
from ...decode import Decoder
from .. import backend_class
from ..base import Backend
from ..onnxruntime import OnnxRuntimeBackend
from .agreement import Agreement, ExpectedMasks

_FRAMES, _APART = 6, 15
_FEWEST_FRAMES = 2
_REFERENCE_SECONDS = 4.0
_ROUNDS, _FEWEST_ROUNDS = 25, 3
_ROUNDS_SECONDS = 3.0
_MOST_SHARE = 0.95
"""The largest share of an earlier candidate's time with which a later one replaces it: a smaller gain is noise, and
earlier ones round finer."""


@dataclass(frozen=True)
class Candidate:
    """One way to run a bundle here."""

    backend: str
    device: str
    variant: Variant

    def __str__(self) -> str:
        return f"{self.backend} on {self.device}"

    def open(self, input_size_hw: tuple[int, int], threads: int | None, on_message: OnMessage) -> Backend:
        """Opens its backend. Raises ``EdgesegError`` if that fails."""
        return backend_class(self.backend)(self.variant, input_size_hw, self.device, threads, on_message)


@dataclass
class _Trial:
    """A candidate that gives the right masks, and its time for a frame."""

    candidate: Candidate
    backend: Backend
    frame_ms: float = math.inf

    def __str__(self) -> str:
        return f"{self.frame_ms:.1f} ms in {self.backend.precision}"


def measure(
    bundle: Bundle, candidates: Sequence[Candidate], threads: int | None, on_message: OnMessage
) -> tuple[Candidate, str] | None:
    """Returns the fastest right candidate and all times; None if there is none. At most two are open at once."""
    frames = _frames(bundle.input_size_hw)
    references: dict[str, list[ExpectedMasks]] = {}
    tried: list[_Trial] = []
    best: _Trial | None = None
    with ExitStack() as stack:
        for candidate in candidates:
            name = candidate.variant.name
            backend: Backend | None = None
            try:
                if name not in references:
                    references[name] = _references(candidate.variant, bundle, threads, frames)
                backend = stack.enter_context(candidate.open(bundle.input_size_hw, threads, on_message))
                _check(backend, references[name], bundle)
                trial = _Trial(candidate, backend)
                rivals = [trial] if best is None else [best, trial]
                _time(rivals, [reference.frame_nhwc for reference in references[name]])
            except EdgesegError as error:
                on_message(f"auto leaves out {candidate}: {error}")
                if backend is not None:
                    backend.close()
                continue
            tried.append(trial)
            if best is None or trial.frame_ms < _MOST_SHARE * best.frame_ms:
                best, trial = trial, best or trial
            if trial is not best:
                trial.backend.close()
    if best is None:
        return None
    others = [f"{trial.candidate} {trial}" for trial in tried if trial is not best]
    return best.candidate, ", ".join([f"{best} a frame", *others])


def _frames(size_hw: tuple[int, int]) -> list[npt.NDArray[np.uint8]]:
    """Returns the trial's frames, uint8 [1, H, W, 3], always the same, from the aerial world of every install."""
    from ...sources import open_source

    height, width = size_hw
    wanted = []
    with open_source(f"{TRIAL_SOURCE}?size={height}x{width}&frames={_FRAMES * _APART}") as source:
        for number in range(_FRAMES * _APART):
            frame_bgr = source.read()
            if frame_bgr is not None and number % _APART == 0:
                wanted.append(np.ascontiguousarray(frame_bgr)[np.newaxis])
    return wanted


def _references(
    variant: Variant, bundle: Bundle, threads: int | None, frames: Sequence[npt.NDArray[np.uint8]]
) -> list[ExpectedMasks]:
    """Returns ONNX Runtime's results for the frames, on a CPU; for fewer frames if it is slow."""
    found = []
    start = time.monotonic()
    with OnnxRuntimeBackend(variant, bundle.input_size_hw, "cpu", threads) as backend:
        for frame_nhwc in frames:
            logits, classes = _segment(backend, frame_nhwc)
            found.append(ExpectedMasks.of(frame_nhwc, logits, classes))
            if len(found) >= _FEWEST_FRAMES and time.monotonic() - start > _REFERENCE_SECONDS:
                break
    return found


def _check(backend: Backend, references: Sequence[ExpectedMasks], bundle: Bundle) -> None:
    """Raises ``BackendError`` if a backend's masks or logits exceed their limits."""
    agreement = Agreement(backend.precision, len(bundle.labels))
    for reference in references:
        agreement.update(reference, *_segment(backend, reference.frame_nhwc))
    if why := agreement.why_not():
        raise BackendError(why)


def _segment(
    backend: Backend, frame_nhwc: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Returns logits, float32 [C, h, w], and class map at the network's own size, as in the segmenter."""
    size_hw = (frame_nhwc.shape[1], frame_nhwc.shape[2])
    if backend.classes_size_hw == size_hw:
        maps = backend.infer_classes(frame_nhwc, logits=True)
        assert maps.logits is not None
        return maps.logits[0], maps.classes[0]
    logits = backend.infer(frame_nhwc)[0]
    classes = np.empty(size_hw, np.uint8)
    if not Decoder()(logits, classes):
        raise DataError("its logits are not finite")
    return logits, classes


def _time(trials: Sequence[_Trial], frames: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Times backends in turn, from the network's input to the class map, and keeps each one's best time."""
    taken: list[list[float]] = [[] for _ in trials]
    size_hw = (frames[0].shape[1], frames[0].shape[2])
    classes = np.empty(size_hw, np.uint8)
    decoder = Decoder()
    inputs = [trial.backend.new_input() for trial in trials]
    for trial in trials:
        trial.backend.warmup()
    deadline = time.monotonic() + _ROUNDS_SECONDS
    for number in range(_ROUNDS):
        if number >= _FEWEST_ROUNDS and time.monotonic() > deadline:
            break
        for trial, frame_nhwc, times in zip(trials, inputs, taken, strict=True):
            np.copyto(frame_nhwc, frames[number % len(frames)])
            start = time.perf_counter()
            if trial.backend.classes_size_hw == size_hw:
                trial.backend.infer_classes(frame_nhwc)
            else:
                decoder(trial.backend.infer(frame_nhwc)[0], classes)
            times.append((time.perf_counter() - start) * 1e3)
    for trial, times in zip(trials, taken, strict=True):
        trial.frame_ms = min(times)  # other work on the machine only adds time
