"""Opens the network, its degraded variants and the sources of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.callbacks import OnMessage
from ...core.errors import BundleError
from ...core.reads import Reads
from ...core.source import Source
from ...runtime.backends import AUTO as AUTO_BACKEND
from ...runtime.backends import backend_class
from ...runtime.bundle import Bundle
from ...runtime.cpu import Threads, usable_cpus
from ...runtime.segmenter import Segmenter
from ...runtime.sources import open_source
from ...runtime.sources.camera import camera_indices
from ...runtime.sources.files import add_sources
from ...runtime.threads import ThreadChoice, open_fastest
from .request import DEFAULT_BUNDLE, NetworkRequest, RunRequest

_FALLBACK_SOURCE = "aerial:7"
_FALLBACK_FRAMES = 300


def open_segmenter(request: NetworkRequest, on_message: OnMessage) -> tuple[Segmenter, ThreadChoice]:
    """Opens the network with its best number of threads, and warms it up.

    Raises:
        EdgesegError: the bundle, variant, backend or device cannot work.
    """
    given = request.threads
    _check_bundle_is_there(request.bundle)
    bundle, cpus = Bundle.load(request.bundle), usable_cpus()

    def open_with(threads: int, like: Segmenter | None) -> Segmenter:
        counts = Threads.for_pipeline(threads, cpus)
        if like is None:
            return Segmenter(bundle, request.variant, request.backend, request.device, counts, on_message)
        return Segmenter(bundle, like.variant.name, like.backend.name, like.backend.device, counts)

    if given is None:
        segmenter, choice = open_fastest(open_with, cpus)
    else:
        segmenter, choice = open_with(given, None), ThreadChoice(given, cpus)
    segmenter.warmup()
    return segmenter, choice


def builds_engines(request: NetworkRequest) -> bool:
    """True if opening the network may build engines, which has no time limit."""
    if request.backend == AUTO_BACKEND:
        engines = backend_class("tensorrt")
        return not engines.why_unavailable(request.device or engines.default_device)
    return "tensorrt" in (request.backend, request.device)


def open_steps(request: NetworkRequest, segmenter: Segmenter) -> list[Segmenter | float]:
    """Opens and warms up the variants of ``--degrade``, so that a change to one takes no time.

    Raises:
        EdgesegError: the bundle has no such variant, or it cannot be opened.
    """
    steps: list[Segmenter | float] = []
    try:
        for step in request.degrade:
            if isinstance(step, str):
                smaller = segmenter.again(step)
                steps.append(smaller)
                smaller.warmup()
            else:
                steps.append(step)
    except BaseException:
        close_steps(steps)
        raise
    return steps


def close_steps(steps: list[Segmenter | float]) -> None:
    """Closes the steps that are segmenters."""
    for step in steps:
        if isinstance(step, Segmenter):
            step.close()


def open_sources(
    request: RunRequest, on_message: OnMessage, stopping: threading.Event
) -> tuple[list[Source], int | None]:
    """Opens the requested sources; if none is requested, the first camera, else the aerial world.

    Returns:
        The sources, and the number of frames to read from each; None for all.

    Raises:
        SourceError: one cannot be opened. None stays open.
    """
    uris, frames = request.sources, request.frames
    if not uris:
        cameras = camera_indices()
        if cameras:
            on_message(f"no --source given: taking camera {cameras[0]}")
            uris = (str(cameras[0]),)
        else:
            frames = frames or (None if request.show or request.preview else _FALLBACK_FRAMES)
            length = f"{frames} frames of it" if frames else "until you end it"
            on_message(
                f"no --source given and no camera found: playing the aerial world ({_FALLBACK_SOURCE}), {length}"
            )
            uris = (_FALLBACK_SOURCE,)
    sources: list[Source] = []
    try:
        sources.extend(open_source(uri, request.live, stopping) for uri in uris)
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources, frames


@contextmanager
def opencv_in_one_thread() -> Iterator[None]:
    """Limits OpenCV to one thread, which leaves the CPUs to inference. Each stage that uses it has a thread anyway."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def read_names(request: RunRequest) -> tuple[str, ...]:
    """The sources, as they were typed."""
    return request.sources or (_FALLBACK_SOURCE,)


def reads_of(request: RunRequest) -> Reads:
    """All inputs of a run, so that no output replaces one."""
    bundle = request.network.bundle
    reads = Reads().add(f"the bundle {bundle}", bundle)
    for what, path in request.reads:
        reads.add(f"{what} {path}", path)
    return add_sources(reads, read_names(request))


def _check_bundle_is_there(folder: Path) -> None:
    if folder == DEFAULT_BUNDLE and not folder.exists():
        raise BundleError(f"there is no {folder} here; make it with: python export.py --model lraspp")
