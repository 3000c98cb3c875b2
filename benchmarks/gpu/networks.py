"""A network on TensorRT: built, run by the raw backend and by ``Segmenter``, with and without CUDA graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.callbacks import OnMessage
from ...runtime.backends.tensorrt import TensorRTBackend
from ...runtime.segmenter import Segmenter
from ...runtime.tensorrt.cuda import gpu_of
from ...runtime.tensorrt.engines import EngineRequest, LoadableEngine, get_engine
from ...runtime.tensorrt.module import find_tensorrt
from ...runtime.tensorrt.options import BuildOptions
from .opened import LARGE_BATCH, Subject, class_maps, through_backend
from .order import Note, NotRunError, StepOrder, check
from .timing import events_of, percentiles, timed

ALTERNATING = [1, LARGE_BATCH]
_MOST_MOVED = 0.01
"""The share of pixels that may differ between a batch and single frames: TensorRT may use other kernels for a batch,
whose rounding decides ties differently. Frames that are mixed up change far more pixels."""


def fp16(order: StepOrder, note: Note) -> None:
    """Runs FP16 with one frame in each call."""
    one_at_a_time(order, note, "fp16")


def int8(order: StepOrder, note: Note) -> None:
    """Runs INT8 with one frame in each call, if it is faster here and the bundle has it."""
    refuse_int8(order)
    one_at_a_time(order, note, "int8")


def refuse_int8(order: StepOrder) -> None:
    """Raises an error with the reason why INT8 is not run; returns if INT8 can run.

    Raises:
        NotRunError: INT8 is not faster here, or the bundle has none.
    """
    if "int8" not in order.precisions:
        raise NotRunError("TensorRT for RTX quantizes weights alone, so INT8 does not pay on it")
    network = Subject(order).network
    left_out = [line for line in network.notes if line.startswith("INT8")]
    if left_out or all(v.precision != "int8" for v in network.bundle().variants.values()):
        raise NotRunError(left_out[0] if left_out else "the bundle was prepared without INT8")


def one_at_a_time(order: StepOrder, note: Note, precision: str) -> None:
    """Builds an engine for single frames, and runs it in every way; all must give the same class maps."""
    subject = Subject(order)
    said: list[str] = []
    note(variant=subject.variant(precision).name, input_size_hw=list(subject.bundle.input_size_hw))
    note(frame_size_hw=list(subject.frame_size_hw), frames=order.frames)
    obtained = obtained_engine(subject, precision, subject.options(), said.append)
    note(
        build_seconds=None if obtained.seconds is None else round(obtained.seconds, 1),
        engine_mb=round(len(obtained.engine) / 1e6, 2),
        said=said,
    )
    inputs, maps = subject.inputs(), {}
    for graph in (True, False):
        facts: dict[str, Any] = {}
        with subject.opened(precision, subject.options(), facts, graph) as backend:
            facts |= through_backend(backend, inputs, order.frames, 1)
            facts["why_no_graph"] = backend.why_no_graph
            maps[f"backend, graph {graph}"] = class_maps(backend, inputs, [1])
            note(**{_named("backend", graph): facts})
            if graph:
                note(engine_alone=_alone(backend, order.frames))
        with Segmenter(subject.bundle, subject.variant(precision).name, subject.backend_name) as segmenter:
            assert isinstance(segmenter.backend, TensorRTBackend)
            segmenter.backend.cuda_graph = graph
            segmenter.warmup()
            maps[f"Segmenter, graph {graph}"] = [segmenter(frame).classes.copy() for frame in subject.frames]
            facts = timed(order.frames, lambda i: segmenter(subject.frames[i % len(subject.frames)]))
            note(**{_named("segmenter", graph): facts})
    _check_same(maps)


def batches(order: StepOrder, note: Note) -> None:
    """Runs FP16 with one engine for 1 to 4 frames: 1 in each call, 4, and both in turn, as with many cameras."""
    subject = Subject(order)
    options = subject.options((1, LARGE_BATCH))
    obtained = obtained_engine(subject, "fp16", options, lambda line: None)
    note(build_seconds=None if obtained.seconds is None else round(obtained.seconds, 1))
    inputs = subject.inputs()
    for graph in (True, False):
        facts: dict[str, Any] = {}
        with subject.opened("fp16", options, facts, graph) as backend:
            for batch in (1, LARGE_BATCH):
                facts[f"batch_{batch}"] = through_backend(backend, inputs, order.frames, batch)
            facts["alternating"] = _alternating(backend, inputs, order.frames)
            facts["why_no_graph"] = backend.why_no_graph
            single = class_maps(backend, inputs, [1])
            moved = {
                name: round(_moved(single, class_maps(backend, inputs, sizes)), 6)
                for name, sizes in (("batch_4", [LARGE_BATCH]), ("alternating", ALTERNATING))
            }
        note(**{_named("backend", graph): facts, _named("moved_pixels", graph): moved})
        for name, share in moved.items():
            check(
                share <= _MOST_MOVED,
                f"{name}: {100 * share:.3g} % of the pixels are not those of single frames",
            )
    through_segmenter(subject, order, note)


def through_segmenter(subject: Subject, order: StepOrder, note: Note) -> None:
    """Runs batches of four through ``Segmenter``'s steps, like a pipeline with several sources."""
    with Segmenter(subject.bundle, subject.variant("fp16").name, subject.backend_name) as segmenter:
        segmenter.keep_frames(2 * LARGE_BATCH)
        segmenter.warmup()

        def call(number: int) -> None:
            start = number * LARGE_BATCH
            together = [subject.frames[(start + i) % len(subject.frames)] for i in range(LARGE_BATCH)]
            inferred = segmenter.infer_batch([segmenter.prepare(frame) for frame in together])
            for inference in inferred:
                segmenter.decode(inference)

        call(0)
        note(segmenter_batch_4=timed(max(1, order.frames // LARGE_BATCH), call, LARGE_BATCH))


def obtained_engine(
    subject: Subject, precision: str, options: BuildOptions, on_message: OnMessage
) -> LoadableEngine:
    """Returns the engine, from the proof's own cache or newly built; it is then the newest in the cache."""
    tensorrt = find_tensorrt(subject.backend_name)
    variant, size_hw = subject.variant(precision), subject.bundle.input_size_hw
    request = EngineRequest(variant, size_hw, tensorrt, gpu_of(), options)
    return get_engine(request, on_message=on_message, on_warning=on_message)


def _alone(backend: TensorRTBackend, count: int) -> dict[str, float]:
    """Returns the engine's own time on the GPU, in milliseconds, without copies and the host's work."""
    taken = []
    with backend._cuda.current():
        execution, events = backend._engine.execution(1), events_of(backend._cuda)
        for _ in range(count):
            events.record(0)
            execution.enqueue(backend.cuda_graph)
            events.record(1)
            taken.append(events.milliseconds())
    return percentiles(taken)


def _alternating(backend: TensorRTBackend, inputs: list[Any], count: int) -> dict[str, Any]:
    frames = {batch: np.concatenate([inputs[i % len(inputs)] for i in range(batch)]) for batch in ALTERNATING}
    pinned = {batch: backend.new_input(batch) for batch in ALTERNATING}

    def call(number: int) -> None:
        for batch in ALTERNATING:
            pinned[batch][...] = frames[batch]
            backend.infer_classes(pinned[batch])

    call(0)
    return timed(max(1, count // sum(ALTERNATING)), call, sum(ALTERNATING))


def _check_same(maps: dict[str, list[Any]]) -> None:
    first, *others = maps
    for other in others:
        differing = sum(not np.array_equal(a, b) for a, b in zip(maps[first], maps[other], strict=True))
        check(
            differing == 0,
            f"{differing} of {len(maps[first])} class maps differ between {first} and {other}",
        )


def _moved(maps: list[Any], others: list[Any]) -> float:
    return float(np.mean([np.mean(a != b) for a, b in zip(maps, others, strict=True)]))


def _named(what: str, graph: bool) -> str:
    return f"{what}_graph" if graph else f"{what}_no_graph"
