"""An engine for a variant: from the user's own cache, or built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle import Variant
from .module import TensorRT
from .options import BuildOptions
from .progress import Progress

if TYPE_CHECKING:
    from ..cuda.base import Gpu


def obtain_engine(
    variant: Variant,
    input_size_hw: tuple[int, int],
    tensorrt: TensorRT,
    gpu: Gpu | None,
    options: BuildOptions | None = None,
    *,
    timing_cache: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_warning: Callable[[str], None] = lambda line: None,
) -> bytes:
    """Gives the serialized engine of a variant, verified against its SHA-256.

    Args:
        variant: the precision to run.
        input_size_hw: height and width of its graph's input.
        tensorrt: what builds it and will run it.
        gpu: what will run it; None where there is none, which only TensorRT for RTX copes with.
        options: how it is built. Where None, as ``edgeseg build`` last built one that fits and takes one frame,
            and else with the defaults: what was built by hand is what runs.
        timing_cache: a file of kernel timings that a build reads and adds to.
        say: is told why an engine is built, in one line.
        on_progress: is told how far a build is.
        on_warning: is told each of TensorRT's warnings once.

    Raises:
        BackendError: TensorRT refuses the graph, or cannot build for the GPU with these options.
        OutputError: the cache cannot be used.
    """
    raise NotImplementedError
