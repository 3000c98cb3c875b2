"""A soak on the GPU: the whole pipeline for a minute, as in ``edgeseg run``."""

from __future__ import annotations

import os
from dataclasses import asdict

import numpy as np

from ...runtime.pipeline import Pipeline
from ...runtime.segmenter import Segmenter
from ..soak import ClockSink, LoopSource, MemoryLog, first_and_last, grows, slope_mb_per_hour
from .networks import obtained_engine
from .nvml import Nvml
from .opened import Subject
from .order import Note, StepOrder, check

_ROOM = 8
"""The factor of the frame rate for which the sink has room, compared with the CPU's soak."""


def soak(order: StepOrder, note: Note) -> None:
    """Runs the soak: nothing may fail, no result may be invalid, and neither host nor GPU memory may grow."""
    subject, nvml = Subject(order), Nvml()
    obtained_engine(subject, "fp16", subject.options(), lambda line: None)
    with Segmenter(subject.bundle, subject.variant("fp16").name, order.backend) as segmenter:
        segmenter.warmup()
        source, clock = LoopSource(np.stack(subject.frames), order.seconds), ClockSink(_ROOM * order.seconds)
        before, used = nvml.joules(), nvml.memory_mb()
        with MemoryLog(order.seconds) as memory:
            report = Pipeline(source, segmenter, [clock]).run()
        after, used_after = nvml.joules(), nvml.memory_mb()
    stretch = order.seconds / 3
    settled = memory.samples[memory.samples[:, 0] >= min(stretch, memory.samples[-1, 0] / 3)]
    first, last = first_and_last(clock.seconds, clock.milliseconds, stretch)
    slope, span = slope_mb_per_hour(settled), float(settled[-1, 0] - settled[0, 0])
    frames = len(clock.seconds)
    note(
        seconds=order.seconds,
        frames=frames,
        cpus=len(os.sched_getaffinity(0)),
        first=asdict(first),
        last=asdict(last),
        memory_slope_mb_per_hour=slope,
        device_memory_grown_mb=None if used is None or used_after is None else used_after - used,
        joules_per_frame=None if before is None or after is None else (after - before) / frames,
        invalid=int(report.stats["invalid_frames"]),
    )
    check(not report.failures, "; ".join(str(error) for error in report.failures.values()))
    check(report.stats["invalid_frames"] == 0, f"{report.stats['invalid_frames']} results were not valid")
    check(not grows(slope, span), f"memory grows by {slope:.0f} MB an hour")
