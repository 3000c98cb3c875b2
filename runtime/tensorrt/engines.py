"""Obtains a variant's engine, from the user's own cache or by building it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, UsageError
from ..bundle import Variant
from .builder import BuildRequest, build_engine, check_options
from .cache import EngineCache
from .identity import EngineIdentity, describe
from .module import TensorRT
from .options import BuildOptions
from .progress import BuildProgress

if TYPE_CHECKING:
    from .cuda.base import Gpu


@dataclass(frozen=True)
class EngineRequest:
    """A request for a variant's engine.

    Attributes:
        variant: the precision to run.
        input_size_hw: height and width of its graph's input.
        tensorrt: the TensorRT that builds it and will run it.
        gpu: the GPU that will run it; None if there is none, which only TensorRT for RTX allows.
        options: how it is built. If None, those of the newest engine in the cache that is of this graph, runs here and
            takes a single frame, so that the engine of ``edgeseg build`` runs. Without one, the defaults.
        cache: the cache of engines; the user's own if None.
        timing_cache: a file of kernel timings that a build reads and adds to.
        force: build it even if the cache has it.
    """

    variant: Variant
    input_size_hw: tuple[int, int]
    tensorrt: TensorRT
    gpu: Gpu | None
    options: BuildOptions | None = None
    cache: EngineCache | None = None
    timing_cache: Path | None = None
    force: bool = False


@dataclass(frozen=True)
class LoadableEngine:
    """An engine and its origin.

    Attributes:
        engine: the serialized engine.
        identity: the engine's identity.
        path: its file in the cache.
        seconds: the time that its build took; None if it was in the cache.
    """

    engine: bytes
    identity: EngineIdentity
    path: Path
    seconds: float | None


def get_engine(
    request: EngineRequest,
    *,
    on_message: OnMessage = lambda line: None,
    on_progress: Callable[[BuildProgress], None] = lambda progress: None,
    on_warning: OnMessage = lambda line: None,
) -> LoadableEngine:
    """Reads a variant's engine from the cache and checks every byte, or builds and stores it.

    Args:
        request: the engine that is wanted.
        on_message: called with one line: the reason that an engine is built, or a note that it was not built with the
            defaults.
        on_progress: called with a build's progress.
        on_warning: called once with each of TensorRT's warnings.

    Raises:
        UsageError: this TensorRT has no such option.
        BackendError: TensorRT refuses the graph or cannot build for this GPU, or the cache is not the user's alone.
        BundleError: the graph has changed since its bundle was opened.
        OutputError: the cache or the timing cache cannot be written.
    """
    variant, tensorrt, gpu = request.variant, request.tensorrt, request.gpu
    _check_variant(variant, request.options)
    cache = request.cache or EngineCache()
    options = request.options or _options_of_newest(request, cache, on_message)
    check_options(tensorrt, options, request.timing_cache)
    if gpu is None and not tensorrt.for_rtx:
        raise BackendError(
            f"{tensorrt.title} builds an engine on the GPU that runs it, and there is none here: build on that"
            " machine, or with TensorRT for RTX (--flavour tensorrt_rtx)"
        )
    wanted = EngineIdentity.of(variant, tensorrt, gpu, _for_gpu(tensorrt, gpu, options))
    if gpu is not None and not wanted.runs_on(gpu) and not options.compute_capabilities:
        raise BackendError(_no_such_gpu(wanted, gpu, tensorrt))
    if not request.force:
        ahead = [] if gpu is None or options.compute_capabilities else _built_ahead(wanted, gpu, cache)
        for identity in (wanted, *ahead):
            engine, why = cache.load(identity)
            if engine is not None:
                return LoadableEngine(engine, identity, cache.path_of(identity), None)

    def waits() -> None:
        on_message("another process is building this engine; waiting for it")

    with cache.lock(wanted, waits):
        if not request.force:
            engine, why = cache.load(wanted)
            if engine is not None:
                return LoadableEngine(engine, wanted, cache.path_of(wanted), None)
            on_message(f"building an engine for {variant.name}: {why or _nearest(wanted, cache)}")
        start = time.monotonic()
        build = BuildRequest(
            variant.path,
            request.input_size_hw,
            wanted.options,
            sha256=variant.sha256,
            timing_cache=request.timing_cache,
        )
        engine = build_engine(tensorrt, build, on_progress=on_progress, on_warning=on_warning)
        seconds = time.monotonic() - start
        return LoadableEngine(engine, wanted, cache.store(wanted, engine), seconds)


def _check_variant(variant: Variant, options: BuildOptions | None) -> None:
    if variant.target not in ("any", "tensorrt"):
        raise BackendError(
            f"variant {variant.name} is made for {variant.target}, and TensorRT would be slow on it or refuse it;"
            " take one that is made for tensorrt or any"
        )
    if options is not None and options.dla_core is not None and variant.precision == "fp32":
        raise UsageError("DLA computes in fp16 and int8; fp32 would run on the GPU whole: --precision fp16")


def _no_such_gpu(wanted: EngineIdentity, gpu: Gpu, tensorrt: TensorRT) -> str:
    if wanted.options.portable:
        way_out = "a Jetson's engines are for its own GPU: leave --portable out"
    elif tensorrt.for_rtx:
        way_out = "NVIDIA's TensorRT builds for this GPU: --flavour tensorrt"
    else:
        way_out = "use another GPU"
    return (
        f"{gpu.name} has compute capability {gpu.compute_capability}; with these options {tensorrt.title} builds for"
        f" {wanted.made_for}; {way_out}"
    )


def _for_gpu(tensorrt: TensorRT, gpu: Gpu | None, options: BuildOptions) -> BuildOptions:
    """Names a Turing GPU in the options, because TensorRT for RTX leaves Turing out by default."""
    if tensorrt.for_rtx and not options.compute_capabilities and gpu and gpu.compute_capability == "7.5":
        return replace(options, compute_capabilities=("7.5",))
    return options


def _options_of_newest(request: EngineRequest, cache: EngineCache, on_message: OnMessage) -> BuildOptions:
    variant, tensorrt, gpu = request.variant, request.tensorrt, request.gpu
    this = (variant.sha256, variant.precision, tensorrt.flavour, tensorrt.version)
    for record in cache.records():
        found, options = record.identity, record.identity.options
        same_graph = (found.onnx_sha256, found.precision, found.flavour, found.version) == this
        if same_graph and options.batch[0] == 1 and (gpu is None or found.runs_on(gpu)):
            usual = describe(BuildOptions())
            unusual = [
                f"{words} {value}" for words, value in describe(options).items() if value != usual[words]
            ]
            if unusual:
                on_message(
                    f"the engine of {variant.name} in the cache was built with {', '.join(unusual)}; taking it"
                )
            return options
    return BuildOptions()


def _built_ahead(wanted: EngineIdentity, gpu: Gpu, cache: EngineCache) -> list[EngineIdentity]:
    """The engines that run on this GPU and differ from the wanted one only in the GPUs they were built for."""
    ahead = []
    for record in cache.records():
        found = record.identity
        options = replace(found.options, compute_capabilities=wanted.options.compute_capabilities)
        same = replace(found, options=options, gpu=wanted.gpu, compute_capability=wanted.compute_capability)
        if same.key == wanted.key != found.key and found.runs_on(gpu):
            ahead.append(found)
    return ahead


def _nearest(wanted: EngineIdentity, cache: EngineCache) -> str:
    """The reason that no cached engine fits: the differences of the most similar one for this bundle and variant."""
    found = [
        record.identity.differences(wanted)
        for record in cache.records()
        if (record.identity.bundle, record.identity.variant) == (wanted.bundle, wanted.variant)
    ]
    if not found:
        return "there is none in the cache yet"
    nearest = min(found, key=len)
    return f"the one in the cache was {', and '.join(nearest)}"
