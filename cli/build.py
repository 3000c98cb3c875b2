"""``edgeseg build``: a TensorRT engine from a bundle, on the machine that will run it."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BackendError, BundleError, UsageError
from ..core.printable import printable

if TYPE_CHECKING:
    from ..runtime.bundle import Bundle, Variant
    from ..runtime.tensorrt.cuda.base import Gpu
    from ..runtime.tensorrt.module import TensorRT
    from ..runtime.tensorrt.options import BuildOptions
    from ..runtime.tensorrt.progress import BuildProgress

_TARGETS = ("tensorrt", "any")
"""The targets that TensorRT can run, the better first."""

_BAR_CHARACTERS = 30
_MOST_MIB = 2**24


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg build``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        help="which precision; default: the bundle's own choice",
    )
    parser.add_argument("--variant", metavar="NAME", help="which variant, by its name in the bundle")
    parser.add_argument(
        "--flavour",
        choices=("tensorrt", "tensorrt_rtx"),
        help="NVIDIA's TensorRT or TensorRT for RTX; default: the first that is installed",
    )
    parser.add_argument(
        "--batch",
        default="1",
        metavar="N|N..M",
        help="frames in a call, such as 1, 4 or 1..8; default: %(default)s",
    )
    parser.add_argument(
        "--frame",
        metavar="HxW",
        help="size of the camera's frames, for class maps of this size; default: the engine gives logits, and the CPU"
        " decodes them",
    )
    parser.add_argument("--dla", type=int, metavar="CORE", help="run on a Jetson's DLA core, such as 0")
    parser.add_argument(
        "--workspace", type=int, metavar="MiB", help="the most device memory for intermediate results"
    )
    parser.add_argument(
        "--optimization-level", type=int, metavar="N", help="from 0, quick to build, to 5, quick to run"
    )
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="kernel timings to read and to add to"
    )
    parser.add_argument(
        "--portable",
        action="store_true",
        help="run on any desktop GPU from Ampere on, at some cost in speed; not for a Jetson",
    )
    parser.add_argument(
        "--compute-capability",
        metavar="X.Y,…",
        help="build for GPUs of these compute capabilities, such as 8.6,8.9, also without a GPU (TensorRT for RTX)",
    )
    parser.add_argument(
        "--force", action="store_true", help="build the engine again even if the cache has it"
    )


def run(args: argparse.Namespace) -> int:
    """Builds a variant's engine in the user's cache, or finds it there.

    Raises:
        EdgesegError: an option, the bundle, TensorRT, the GPU or the cache cannot work.
    """
    from ..core.outputs import check_output
    from ..core.reads import Reads
    from ..runtime.bundle import Bundle
    from ..runtime.tensorrt.engines import EngineRequest, get_engine
    from ..runtime.tensorrt.module import default_compute_capabilities, find_tensorrt

    options = read_options(args)
    if args.timing_cache is not None:
        check_output(args.timing_cache, reads=Reads().add(f"the bundle {args.bundle}", args.bundle))
    bundle = Bundle.load(args.bundle)
    variant = choose_variant(bundle, args.variant, args.precision)
    tensorrt = find_tensorrt(args.flavour)
    gpu = _find_gpu(tensorrt, options)
    bar = BuildBar()
    if gpu is None and not options.compute_capabilities:
        known = ", ".join(default_compute_capabilities(tensorrt.module))
        bar.write_line(f"no GPU here; {tensorrt.title} builds for compute capability {known}")
    request = EngineRequest(
        variant,
        bundle.input_size_hw,
        tensorrt,
        gpu,
        options,
        timing_cache=args.timing_cache,
        force=args.force,
    )
    try:
        obtained = get_engine(
            request,
            on_message=bar.write_line,
            on_progress=bar.update,
            on_warning=lambda line: bar.write_line(f"TensorRT warns: {line}"),
        )
    finally:
        bar.clear()
    took = "it was in the cache" if obtained.seconds is None else f"built in {obtained.seconds:.1f} s"
    lines = [
        f"{'engine':10}{obtained.path}",
        f"{'':10}{len(obtained.engine) / 2**20:.1f} MiB, {took}",
        f"{'variant':10}{variant.name} ({variant.precision}) of {bundle.name}, by {tensorrt.title}",
        f"{'for':10}{obtained.identity.made_for}",
    ]
    if options.batch[0] == 1:
        folder, name = shlex.quote(str(args.bundle)), shlex.quote(variant.name)
        lines.append(f"{'run it':10}edgeseg run --bundle {folder} --backend tensorrt --variant {name}")
    print("\n".join(map(printable, lines)))
    return 0


def read_options(args: argparse.Namespace) -> BuildOptions:
    """The command line's build options.

    Raises:
        UsageError: one has an invalid form or value.
    """
    from ..core.sizes import parse_size
    from ..runtime.tensorrt.options import BuildOptions

    batch = re.fullmatch(r"(\d{1,4})(?:\.\.(\d{1,4}))?", args.batch.strip())
    if batch is None:
        raise UsageError(f"--batch {args.batch!r}: expected a number such as 4, or a range such as 1..8")
    capabilities: list[str] = []
    if args.compute_capability is not None:
        capabilities = [part.strip() for part in args.compute_capability.split(",")]
        if not all(re.fullmatch(r"\d{1,2}\.\d", part) for part in capabilities):
            raise UsageError(
                f"--compute-capability {args.compute_capability!r}: expected such as 8.6 or 8.6,8.9"
            )
    if args.workspace is not None and not 1 <= args.workspace <= _MOST_MIB:
        raise UsageError(f"--workspace {args.workspace}: expected 1 to {_MOST_MIB} MiB")
    return BuildOptions(
        batch=(int(batch[1]), int(batch[2] or batch[1])),
        frame_size_hw=None if args.frame is None else parse_size(args.frame),
        dla_core=args.dla,
        workspace_bytes=None if args.workspace is None else args.workspace * 2**20,
        optimization_level=args.optimization_level,
        portable=args.portable,
        compute_capabilities=tuple(sorted(set(capabilities), key=lambda c: tuple(map(int, c.split("."))))),
    )


def choose_variant(bundle: Bundle, name: str | None, precision: str | None) -> Variant:
    """The variant to build: the named one, the one of a precision for TensorRT, or the bundle's own choice.

    Raises:
        UsageError: the named variant has another precision than the requested one.
        BundleError: TensorRT can run none of the bundle's variants; the message lists these.
    """
    if name is not None:
        named = bundle.variant(name)
        if precision not in (None, named.precision):
            raise UsageError(
                f"variant {name} is {named.precision}, not {precision}; give one of the two options"
            )
        return named
    if precision is None:
        return bundle.variant_for(_TARGETS)
    fitting = [v for v in bundle.variants.values() if v.precision == precision and v.target in _TARGETS]
    if not fitting:
        known = ", ".join(f"{v.name} ({v.precision} for {v.target})" for v in bundle.variants.values())
        raise BundleError(
            f"bundle {bundle.path} has no {precision} for TensorRT; it has {known}:"
            f" export it again with --precision {precision}"
        )
    return min(fitting, key=lambda v: _TARGETS.index(v.target))


def _find_gpu(tensorrt: TensorRT, options: BuildOptions) -> Gpu | None:
    """The GPU to build for; None if options name the GPUs, or TensorRT for RTX has no GPU here."""
    from ..runtime.tensorrt.cuda import gpu_of, why_no_device

    if options.compute_capabilities:
        return None
    reason = why_no_device()
    if not reason:
        return gpu_of()
    if tensorrt.for_rtx:
        return None
    raise BackendError(
        f"{tensorrt.title} builds an engine on the GPU that runs it: {reason}. TensorRT for RTX builds without one:"
        " --flavour tensorrt_rtx"
    )


class BuildBar:
    """A progress bar on one line of stderr; if stderr is no terminal, a line at each quarter."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._quarters = 0

    def update(self, progress: BuildProgress) -> None:
        """Shows the progress of the build."""
        percent = round(100 * progress.fraction)
        with self._lock:
            if self._live:
                done = round(_BAR_CHARACTERS * progress.fraction)
                bar = "#" * done + "." * (_BAR_CHARACTERS - done)
                text = f"\r\x1b[K{bar} {percent:3} %  {printable(progress.phase)} {progress.step}/{progress.steps}"
                print(text, end="", file=sys.stderr, flush=True)
            elif int(4 * progress.fraction) > self._quarters:
                self._quarters = int(4 * progress.fraction)
                print(f"building: {percent} %", file=sys.stderr, flush=True)

    def write_line(self, line: str) -> None:
        """Prints a separate line."""
        with self._lock:
            line = printable(line)
            print(f"\r\x1b[K{line}" if self._live else line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Removes the bar."""
        if self._live:
            with self._lock:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
