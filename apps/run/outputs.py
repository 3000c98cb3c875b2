"""The requested sinks of ``edgeseg run``, and the names of their outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ...core.callbacks import OnMessage
from ...core.claims import claimed
from ...core.errors import OutputError, UsageError
from ...core.labels import LabelMap
from ...core.outputs import check_output
from ...core.reads import Reads
from ...core.source import Source
from ...runtime.sinks.base import Sink
from ...runtime.sinks.series import names_of
from .request import NPZ, RunRequest, SinkOptions
from .vehicle import known_optics, scan_frame_of

NUMBER = "{source}"
"""Placeholder for the source's number, from 1, in an output's name."""

_NUMBERED = ("--save", "--masks", "--record")
_FOLDERS = ("--masks", "--record")
_FALLBACK_VIDEO = "edgeseg-overlay.mp4"
_FALLBACK_RECORDING = Path("edgeseg-recording")
_FALLBACK_FPS = 25.0


def name_of(path: Path, number: int, sources: int) -> Path:
    """An output's name for one source. Its number replaces ``{source}``, or follows the stem if there are several.

    Args:
        path: as requested.
        number: of the source, from 1.
        sources: their number.
    """
    if NUMBER in str(path):
        return Path(str(path).replace(NUMBER, str(number)))
    return path if sources == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def check_apart(options: Mapping[str, Path | Sequence[Path] | None], sources: int) -> None:
    """Checks that no two outputs have the same name.

    Args:
        options: paths by option; some options have a name for each source, some may be repeated.
        sources: their number.

    Raises:
        UsageError: two have the same name.
    """
    taken: dict[str, str] = {}
    for option, name in _all_names(options, sources):
        other = taken.setdefault(os.path.realpath(name), option)
        if other != option:
            raise UsageError(f"{other} and {option} would both write {name}; give each a name of its own")


def check_all(
    options: Mapping[str, Path | Sequence[Path] | None], sources: int, reads: Reads, segmented: bool = False
) -> None:
    """Checks, before anything is opened, that each output may be written.

    Args:
        options: as for :func:`check_apart`.
        sources: their number.
        reads: the inputs of the run.
        segmented: whether ``--save`` is a series, whose oldest files may be removed.

    Raises:
        OutputError: one may not be written. The message names its option.
    """
    for option, name in _all_names(options, sources):
        try:
            check_output(name, folder=option in _FOLDERS, reads=reads, stream=option == "--events")
            if option == "--save" and segmented:
                for file in _files_of_series(name):
                    check_output(file, reads=reads)
        except OutputError as error:
            raise OutputError(f"{option}: {error}") from error


def claim_all(stack: ExitStack, options: Mapping[str, Path | Sequence[Path] | None], sources: int) -> None:
    """Claims each output until the stack is closed, so that two runs never write the same one.

    Events need no claim: they are appended to a stream.

    Args:
        stack: ends the claims.
        options, sources: as for :func:`check_apart`.

    Raises:
        OutputError: another run writes one of them, or its folder cannot be written. The message names its option.
    """
    for option, name in _all_names(options, sources):
        if option == "--events":
            continue
        try:
            stack.enter_context(claimed(name))
        except OutputError as error:
            raise OutputError(f"{option}: {error}") from error


def _all_names(
    options: Mapping[str, Path | Sequence[Path] | None], sources: int
) -> Iterator[tuple[str, Path]]:
    for option, given in options.items():
        for path in [given] if isinstance(given, Path) else given or []:
            for name in _names_of(option, path, sources):
                yield option, name


def _files_of_series(path: Path) -> list[Path]:
    """The existing files of a series, of which the oldest may be removed to make room."""
    named = names_of(path)
    try:
        return [path.with_name(name) for name in os.listdir(path.parent) if named.fullmatch(name)]
    except OSError:
        return []  # there is no such folder yet


def _names_of(option: str, path: Path, sources: int) -> list[Path]:
    """The output names of an option, for all sources."""
    if option not in _NUMBERED or sources == 1:
        return [path]
    return [name_of(path, number, sources) for number in range(1, sources + 1)]


def open_sinks(
    request: RunRequest,
    sources: Sequence[Source],
    labels: LabelMap,
    head: Callable[[str], Mapping[str, Any]],
    on_message: OnMessage,
) -> list[list[Sink]]:
    """Opens each source's sinks.

    Args:
        request: of the run.
        sources: open.
        labels: the classes.
        head: gives the head of the recording of a source, by the source's name.
        on_message: prints a line if an output differs from the request.

    Raises:
        OutputError: an output exists, or cannot be written.
    """
    from ...runtime.sinks.window import WindowSink, why_no_window
    from ..recording.sink import RecordingSink

    count = len(sources)
    show, save = request.show or request.has_no_output, request.save
    if show and (reason := why_no_window()):
        show = False
        if save is not None:
            on_message(f"not showing: {reason}")
        else:
            save = _free_name(_FALLBACK_VIDEO, count)
            names = ", ".join(str(name_of(save, number, count)) for number in range(1, count + 1))
            on_message(f"not showing: {reason}; saving to {names} instead")
    opened: list[list[Sink]] = []
    try:
        for number, source in enumerate(sources, 1):
            sinks: list[Sink] = []
            opened.append(sinks)
            named = partial(name_of, number=number, sources=count)
            if show:
                sinks.append(WindowSink("" if count == 1 else f"{number}: {source.name}"))
            if save is not None:
                fps = source.fps or _FALLBACK_FPS
                sinks.append(open_video(request.sinks, named(save), fps, source.live, request.force))
            if request.masks is not None:
                folder = named(request.masks)
                sinks.append(open_masks(request.sinks, folder, labels, source.live, request.force))
            order = 0 if count == 1 else number
            its_head = head(source.name)
            sinks += open_others(request.sinks, labels, its_head, order, named)
            if request.sinks.ros2 is not None:
                sinks.append(open_ros2(request, source, labels, number, count))
            if request.preview is not None and request.sinks.record is None:
                most_bytes = request.sinks.record_limit_bytes
                sinks.append(
                    RecordingSink(
                        named(_FALLBACK_RECORDING), labels, its_head, most_bytes=most_bytes, active=False
                    )
                )
    except BaseException:
        for sink in (sink for its in opened for sink in its):
            sink.close(commit=False)
        raise
    return opened


def _free_name(name: str, sources: int) -> Path:
    path, number = Path(name), 1
    while any(name_of(path, each, sources).exists() for each in range(1, sources + 1)):
        number += 1
        path = path.with_name(f"{Path(name).stem}-{number}{path.suffix}")
    return path


def open_video(options: SinkOptions, path: Path, fps: float, live: bool, force: bool) -> Sink:
    """The sink of ``--save``: one file, or segments.

    Args:
        options: as requested.
        path: of this source.
        fps: of the video.
        live: of the source.
        force: whether one file may replace another; segments replace none.

    Raises:
        OutputError: as :class:`~edgeseg.runtime.sinks.video.VideoSink`.
    """
    from ...runtime.sinks.video import SegmentedVideoSink, VideoSink

    if options.segment_seconds is None:
        return VideoSink(path, fps, live, force)
    return SegmentedVideoSink(path, fps, options.segment_seconds, live, options.save_limit_bytes)


def open_masks(options: SinkOptions, folder: Path, labels: LabelMap, live: bool, force: bool) -> Sink:
    """The sink of ``--masks``: arrays, or PNGs, which appear at once for a live source and else at the end.

    Args:
        options: as requested.
        folder: of this source.
        labels: the classes.
        live: of the source.
        force: whether PNGs of a source that is not live may replace others.

    Raises:
        OutputError: the folder cannot be written, or holds something else.
    """
    from ...runtime.sinks.mask_arrays import MaskArraysSink
    from ...runtime.sinks.masks import LiveMasksSink, MasksSink

    if options.masks_format == NPZ:
        return MaskArraysSink(folder, labels)
    return LiveMasksSink(folder, labels) if live else MasksSink(folder, labels, force)


def open_ros2(request: RunRequest, source: Source, labels: LabelMap, number: int, sources: int) -> Sink:
    """The sink of ``--ros2``.

    Args:
        request: of the run, with ``--ros2``.
        source: open.
        labels: the classes.
        number: of the source, from 1.
        sources: their number.

    Raises:
        MissingRosError: ROS 2 is not in this environment.
        RosError: it refuses an argument or a parameter.
    """
    from ...embedding.ros2.parameters import NodeParameters
    from ...embedding.ros2.sink import Ros2Sink, RosOptions

    namespace, several = request.sinks.ros2 or "", sources > 1
    if NUMBER in namespace:
        namespace = namespace.replace(NUMBER, str(number))
    elif several:
        namespace = f"{namespace}_{number}"
    optics = known_optics(request.vehicle, source)
    options = RosOptions(
        namespace=namespace,
        ros_args=request.sinks.ros_args,
        source=number if several else 0,
        source_name=source.name,
        parameters=NodeParameters(scan_frame=scan_frame_of(request.vehicle)),
        camera_for=None if optics is None else optics.for_frames,
    )
    return Ros2Sink(options, labels)


def open_others(
    options: SinkOptions,
    labels: LabelMap,
    head: Mapping[str, Any],
    source: int = 0,
    named: Callable[[Path], Path] = lambda path: path,
) -> list[Sink]:
    """The sinks of ``--events``, ``--shm`` and ``--record``, in this order.

    Args:
        options: as requested.
        labels: the classes.
        head: of the recording.
        source: the source's number, from 1; 0 if there is only one.
        named: gives an output its name for this source.

    Raises:
        UsageError: a target of events is malformed.
        OutputError: an output cannot be written.
    """
    from ...runtime.sinks.events import EventsSink
    from ...runtime.sinks.shared_memory import SharedMemorySink
    from ..recording.sink import RecordingSink

    sinks: list[Sink] = []
    try:
        # Each event names its source, so all sources can share one target.
        sinks += [EventsSink(target, labels, source) for target in options.events]
        if options.shm is not None:
            name = str(named(Path(options.shm)))
            sinks.append(SharedMemorySink(name, labels, with_frames=options.shm_frames))
        if options.record is not None:
            sinks.append(
                RecordingSink(named(options.record), labels, head, most_bytes=options.record_limit_bytes)
            )
    except BaseException:
        for sink in sinks:
            sink.close(commit=False)
        raise
    return sinks
