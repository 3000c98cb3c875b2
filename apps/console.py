"""The terminal output of a run: one live line, and a table at the end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.printable import printable, printable_lines
from ..core.progress import Pace
from ..runtime.pipeline.stats import RunStats

if TYPE_CHECKING:
    from ..runtime.segmenter import Segmenter

_REFRESH_SECONDS = 0.25
_BAR_CHARACTERS = 30
_NAME_CHARACTERS = 36


class StatusLine:
    """One line on stderr that is overwritten during the run. If stderr is no terminal, it is silent, or it is paced.

    Args:
        live: False for no line at all.
        paced: if stderr is no terminal, print a plain line from time to time.
    """

    def __init__(self, live: bool = True, paced: bool = False) -> None:
        self._live = live and sys.stderr.isatty()
        self._pace = Pace() if live and paced and not self._live else None
        self._lock = threading.Lock()
        self._shown_at = 0.0

    def update(self, stats: RunStats) -> None:
        """Shows the frames and the rate so far, a few times a second."""
        self.show(lambda: f"{stats.frames} frames   {stats.recent_fps:.1f} fps")

    def show(self, text: Callable[[], str]) -> None:
        """Shows the text of a function, a few times a second. The function is not called more often."""
        now = time.monotonic()
        if self._pace is not None and self._pace.due():
            self.write_line(text())
        if self._live and now - self._shown_at >= _REFRESH_SECONDS:
            self._shown_at = now
            self._write(f"\r\x1b[K{printable(text())}")

    def write_line(self, text: str) -> None:
        """Prints a separate line."""
        text = printable_lines(text)
        self._write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")

    def clear(self) -> None:
        """Removes the line."""
        if self._live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        # A closed terminal raises an error; the run must not end because of it.
        with self._lock, contextlib.suppress(OSError, ValueError):
            print(text, end="", file=sys.stderr, flush=True)


def head_of(segmenter: Segmenter) -> dict[str, str]:
    """The bundle, variant, backend, device and precision of a run, for the head of the statistics."""
    backend, variant = segmenter.backend, segmenter.variant
    return {
        "bundle": segmenter.bundle.name,
        "variant": variant.name,
        "backend": backend.name,
        "device": backend.device,
        "precision": backend.precision,
    }


def head_line(segmenter: Segmenter) -> str:
    """The same as one line for display, with the precision if it is not the variant's."""
    head = head_of(segmenter)
    computes = "" if head["precision"] == segmenter.variant.precision else f", in {head['precision']}"
    head = {name: printable(value) for name, value in head.items()}
    return f"{'bundle':18}{head['bundle']}, {head['variant']} with {head['backend']} on {head['device']}{computes}"


def summary_table(stats: Mapping[str, Any]) -> str:
    """The closing table of a run.

    Args:
        stats: of :class:`~edgeseg.runtime.pipeline.RunReport`.
    """
    sources = stats.get("sources", [])
    steps = list(stats.get("steps", {}).items())
    lines = [
        f"{'sources':18}{len(sources)}" if sources else f"{'source':18}{printable(stats['source'])}",
        f"{'frames':18}{stats['frames']}, {stats['dropped']} dropped, {stats['invalid_frames']} not valid"
        + (f", {stats['missing']} missing from the film" if stats["missing"] else ""),
        f"{'rate':18}{stats['fps']:.1f} frames a second",
        f"{'bottleneck':18}{_bottleneck(stats)}",
        *(
            f"{'' if number else 'steps':18}{count} results with {step}"
            for number, (step, count) in enumerate(steps)
        ),
    ]
    if sources:
        lines += ["", *_sources_table(sources)]
    timings = dict(stats["stages_ms"])
    if all(source["live"] for source in sources or [stats]):
        timings["capture to mask"] = stats["latency_ms"]  # a frame of a file waits for its turn
    if any(timings.values()):
        lines += ["", f"{'milliseconds':18}{'p50':>9}{'p90':>9}{'p99':>9}"]
        lines += [
            f"{name:18}" + "".join(f"{percentiles[p]:9.2f}" for p in ("p50", "p90", "p99"))
            for name, percentiles in timings.items()
            if percentiles
        ]
    lines += [
        "",
        *_bars(
            "stage", "busy", {_tail(name, _NAME_CHARACTERS): share for name, share in stats["busy"].items()}
        ),
    ]
    lines += class_table(stats["class_share"])
    return "\n".join(lines)


def _bottleneck(stats: Mapping[str, Any]) -> str:
    name = stats["bottleneck"]
    if not name:
        return "none: no stage was busy all the time"
    return f"{printable(name)}, {stats['busy'][name]:.0%} busy"


def _sources_table(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row for each source, its number first; below a failed source, the error.

    The milliseconds are those from capture to mask. They are left out for a file, whose frames wait for their turn.
    """
    names = [
        f"{number} {_tail(source['source'], _NAME_CHARACTERS)}" for number, source in enumerate(sources, 1)
    ]
    width = max(len(name) for name in names) + 2
    latencies = f"{'ms p50':>9}{'p90':>9}{'p99':>9}" if any(source["live"] for source in sources) else ""
    lines = [
        f"{'source':{width}}{'frames':>9}{'dropped':>9}{'not valid':>11}{'a second':>10}{latencies}",
    ]
    for name, source in zip(names, sources, strict=True):
        latency = "".join(f"{ms:9.2f}" for ms in source["latency_ms"].values() if source["live"])
        lines.append(
            f"{name:{width}}{source['frames']:9}{source['dropped']:9}"
            f"{source['invalid_frames']:11}{source['fps']:10.1f}{latency}"
        )
        if source["missing"]:
            lines.append(f"  {source['missing']} frames are missing from the film")
        if source["error"]:
            lines.append(f"  failed: {printable(source['error'])}")
    return lines


def class_table(shares: Mapping[str, float]) -> list[str]:
    """The lines with each class's share of the pixels; none if no class has any.

    Args:
        shares: by class name, from 0 to 1.
    """
    present = {name: share for name, share in shares.items() if share > 0}
    if not present:
        return []
    return ["", *_bars("class", "share", present)]


def _bars(thing: str, what: str, shares: Mapping[str, float]) -> list[str]:
    width = max([16, *map(len, shares)]) + 2
    rows = (
        f"{name:{width}}{share:9.1%}  {'#' * round(share * _BAR_CHARACTERS)}".rstrip()
        for name, share in shares.items()
    )
    return [f"{thing:{width}}{what:>9}", *rows]


def _tail(text: str, most: int) -> str:
    """The text in one line, or as much of its end as fits."""
    text = printable(text)
    return text if len(text) <= most else "…" + text[1 - most :]
