"""The engine cache on a real GPU: a stored engine is found; an altered one, or one with other options, is built."""

from __future__ import annotations

from ...runtime.tensorrt.cuda import gpu_of
from ...runtime.tensorrt.engines import EngineRequest, LoadableEngine, get_engine
from ...runtime.tensorrt.module import find_tensorrt
from ...runtime.tensorrt.options import BuildOptions
from .opened import Subject, class_maps
from .order import Note, StepOrder, check

_OTHER_BATCH = (2, 2)


def hit_and_rebuilt(order: StepOrder, note: Note) -> None:
    """Requests one engine several times: unchanged, with an altered byte, and with other options."""
    subject = Subject(order)
    said: list[str] = []

    def engine(options: BuildOptions) -> LoadableEngine:
        variant, size_hw = subject.variant("fp16"), subject.bundle.input_size_hw
        request = EngineRequest(variant, size_hw, find_tensorrt(order.backend), gpu_of(), options)
        return get_engine(request, on_message=said.append)

    usual = subject.options()
    engine(usual)
    hit = engine(usual)
    note(hit=hit.seconds is None)
    check(hit.seconds is None, "the engine that was just stored was built again")
    _alter(hit)
    rebuilt = engine(usual)
    note(altered_rebuilt_seconds=rebuilt.seconds, said=said)
    check(rebuilt.seconds is not None, "an engine with an altered byte was taken from the cache")
    check("altered" in said[-1], f"the altered engine was not called so: {said[-1]}")
    other = engine(subject.options(_OTHER_BATCH))
    note(other_options_seconds=other.seconds)
    check(other.path != rebuilt.path, "engines of other options share a file")
    check(engine(usual).seconds is None, "building with other options has spoiled the first engine")
    with subject.opened("fp16", usual, {}) as backend:
        class_maps(backend, subject.inputs()[:1], [1])


def _alter(obtained: LoadableEngine) -> None:
    """Changes one byte in the middle of a stored engine."""
    middle = len(obtained.engine) // 2
    with obtained.path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes([obtained.engine[middle] ^ 1]))
