"""Builds an engine from an ONNX graph. Every tensor keeps the precision that the graph gives it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, UsageError
from ..backends.graph_form import check_graph
from ..checked_files import read_checked
from .messages import Messages, make_logger
from .module import TensorRT, compute_capabilities, network_flags, set_compute_capabilities
from .network import add_decoding, add_profile, parse_onnx, set_batch
from .options import BuildOptions
from .progress import BuildProgress, ProgressTracker, make_monitor, signals_stop
from .timing_cache import read_timing_cache, write_timing_cache

_CONVOLUTION = re.compile(r"\bConv(?:Transpose)?_\d+\b")
"""The exporter's names of convolutions; ``Conv_12_Q`` is not a convolution."""


@dataclass(frozen=True)
class BuildRequest:
    """A request for a build.

    Attributes:
        onnx_path: the graph's file, with all its tensors inside.
        input_size_hw: height and width of its input.
        options: how the engine is built.
        sha256: the SHA-256 that the file's bytes must have; None if it is not known.
        timing_cache: a file of kernel timings to read and add to. It is made if it is missing, and ignored with a
            warning if it is broken or of another device.
    """

    onnx_path: Path
    input_size_hw: tuple[int, int]
    options: BuildOptions = field(default_factory=BuildOptions)
    sha256: str | None = None
    timing_cache: Path | None = None


def build_engine(
    tensorrt: TensorRT,
    request: BuildRequest,
    *,
    on_progress: Callable[[BuildProgress], None] = lambda progress: None,
    on_warning: OnMessage = lambda line: None,
) -> bytes:
    """Builds an engine; :mod:`.network` has its tensors.

    A float32 operator computes in float32: TF32, TensorRT's default, is off. The other precisions are for speed. The
    engine holds no host code.

    Ctrl-C or SIGTERM stops the build at TensorRT's next step, and is raised after that.

    Args:
        tensorrt: the TensorRT that builds the engine.
        request: what is built, and how.
        on_progress: called with the build's progress, from TensorRT's threads.
        on_warning: called once with each of TensorRT's warnings, when the build is over.

    Returns:
        The serialized engine.

    Raises:
        UsageError: this TensorRT has no such option; the message names the one that has it.
        BackendError: the graph has parts that may not be run, or TensorRT refuses it or cannot build it; the message
            has the reason.
        BundleError: the file has another SHA-256, or is missing.
        OutputError: the timing cache cannot be written.
    """
    check_options(tensorrt, request.options, request.timing_cache)
    model = _read(request)
    messages, stopping = Messages(), threading.Event()
    tracker = ProgressTracker(on_progress, stopping)
    try:
        with signals_stop(stopping):
            engine = _build(tensorrt, model, request, messages, tracker)
    finally:
        for line in messages.warnings():
            on_warning(line)
    if tracker.error is not None:
        raise tracker.error
    if engine is None and stopping.is_set():
        raise KeyboardInterrupt
    if engine is None:
        node = messages.node_without_kernel()
        reason = _no_kernel(node, model) if node else messages.cause("it gives no reason")
        raise BackendError(f"{tensorrt.title} cannot build {request.onnx_path}: {reason}")
    on_progress(BuildProgress(1.0, "built", 1, 1))
    return engine


def check_options(tensorrt: TensorRT, options: BuildOptions, timing_cache: Path | None = None) -> None:
    """Refuses options that this flavour of TensorRT does not have.

    Raises:
        UsageError: an option is refused.
    """
    if tensorrt.for_rtx:
        if options.dla_core is not None:
            raise UsageError(
                f"{tensorrt.title} has no DLA; NVIDIA's TensorRT on a Jetson Orin has: --flavour tensorrt"
            )
        if options.portable:
            raise UsageError(
                f"every engine of {tensorrt.title} runs on all the GPUs that it knows but Turing; leave --portable"
                " out, or name GPUs with --compute-capability"
            )
        if timing_cache is not None:
            raise UsageError(f"{tensorrt.title} times nothing when it builds; leave --timing-cache out")
    if options.dla_core is not None and not options.static:
        raise UsageError(
            f"DLA takes a fixed number of frames; batch {options.batch[0]}..{options.batch[1]} was asked for:"
            " give one number, such as --batch 1"
        )
    known = compute_capabilities(tensorrt.module)
    for capability in options.compute_capabilities:
        if not known:
            raise UsageError(
                f"{tensorrt.title} builds only for the GPU of this machine; TensorRT for RTX builds for compute"
                f" capability {capability}: --flavour tensorrt_rtx"
            )
        if capability not in known:
            raise UsageError(
                f"{tensorrt.title} cannot build for compute capability {capability!r}; it knows {', '.join(known)}"
            )


def _no_kernel(node: str, model: bytes) -> str:
    """The error message for a node that has no kernel, with what the user can do.

    Args:
        node: TensorRT's name of the node, with all operators that it fused.
        model: the graph's bytes.
    """
    text = f"it has no kernel for the node {node!r}"
    if b"DequantizeLinear" not in model:
        return f"{text}; give it more --workspace, or build the fp32 variant: --precision fp32"
    # The name of a foreign node has its first and its last operator only.
    convolutions = [] if "ForeignNode" in node else list(dict.fromkeys(_CONVOLUTION.findall(node)))
    what = " and ".join(convolutions) or "the convolution in it"
    return (
        f"{text} in INT8; leave {what} in float, one a line of the list that export takes with --exclude,"
        " or build the fp16 variant: --precision fp16"
    )


def _read(request: BuildRequest) -> bytes:
    path, sha256 = request.onnx_path, request.sha256
    model = path.read_bytes() if sha256 is None else read_checked(path, sha256)
    check_graph(model, path)
    return model


def _build(
    tensorrt: TensorRT,
    model: bytes,
    request: BuildRequest,
    messages: Messages,
    tracker: ProgressTracker,
) -> bytes | None:
    trt = tensorrt.module
    origin, input_size_hw, options = request.onnx_path, request.input_size_hw, request.options
    # TensorRT holds no reference to these two; they must outlive all objects below.
    logger, monitor = make_logger(trt, messages), make_monitor(trt, tracker)
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # the binding's error for a null pointer
        raise BackendError(
            f"{tensorrt.title} cannot start: {messages.cause(str(error))}; check the GPU and its driver"
        ) from error
    network = builder.create_network(network_flags(trt))
    parse_onnx(trt, network, logger, messages, model, origin)
    set_batch(network, origin, input_size_hw, options)
    if options.frame_size_hw is not None:
        add_decoding(trt, network, options.frame_size_hw)
    config = builder.create_builder_config()
    _configure(tensorrt, builder, config, input_size_hw, options)
    config.progress_monitor = monitor
    timing_cache = request.timing_cache
    takes_timings = timing_cache is not None and read_timing_cache(config, timing_cache, messages)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        return None
    if timing_cache is not None and takes_timings:
        write_timing_cache(config, timing_cache)
    return bytes(serialized)


def _configure(
    tensorrt: TensorRT, builder: Any, config: Any, input_size_hw: tuple[int, int], options: BuildOptions
) -> None:
    trt = tensorrt.module
    config.clear_flag(trt.BuilderFlag.TF32)
    if hasattr(trt.BuilderFlag, "REQUIRE_USER_ALLOCATION"):
        # If TensorRT for RTX may allocate while it runs, its work cannot be captured as a CUDA graph.
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if not options.static:
        add_profile(builder, config, input_size_hw, options)
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.portable:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.dla_core is not None:
        cores = builder.num_DLA_cores
        if options.dla_core >= cores:
            raise UsageError(
                f"DLA core {options.dla_core} was asked for, and {tensorrt.title} finds {cores} on this machine;"
                " Jetson Orin has them under JetPack 6, and again from JetPack 7.2.2: leave --dla out"
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    if options.compute_capabilities:
        set_compute_capabilities(trt, config, options.compute_capabilities)
