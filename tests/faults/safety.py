"""``PYTHONPATH=tests python -m faults.safety``: bounds and measured times by fault, for ``docs/safety.md``.

The measured times are those of ``docs/reliability.md``, which the fault suite writes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.tables import Table, number
from edgeseg.core.errors import OutputError
from edgeseg.runtime.health.limits import Limits

from .live_run import Pace
from .page import PAGE, write_part

SAFETY = Path("docs/safety.md")
_FROZEN_AFTER_S = 1.0
"""``--frozen-after`` in the fault suite."""
_SECTION = re.compile(r"^### (?P<kind>.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (?P<fault>[^|]+?) \| (?P<told>[\d.]+|–) \| (?P<back>[\d.]+|–) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """Faults that are told in the same way.

    Attributes:
        name: what goes wrong.
        bound: the formula of the longest time until it is told.
        faults: in the fault suite.
        uses_age: False where it is told with the result of the frame itself, whose time depends on the machine.
        uses_frozen: True where ``--frozen-after`` counts too.
    """

    name: str
    bound: str
    faults: tuple[str, ...]
    uses_age: bool = True
    uses_frozen: bool = False

    def seconds(self, limits: Limits) -> float | None:
        """Returns the bound in seconds; None where it is the time of one result."""
        if not self.uses_age:
            return None
        return limits.told_within_s + (limits.frozen_after_s if self.uses_frozen else 0)


_AGE = "max-age + 2 beats"
_ONE = "one result"
KINDS = (
    Kind(
        "the camera, its driver or its server is gone, silent or refuses",
        _AGE,
        (
            "camera unplugged", "open that hangs", "grab that stalls", "capture crashes", "HTTP server drops",
            "HTTP server answers 401", "HTTP server stalls", "HTTP server mute", "RTSP server drops",
            "RTSP server answers 401", "RTSP server stalls", "RTSP server mute", "redirect",
        ),
    ),
    Kind("frames come late, or after a gap", _AGE, ("thin link", "gap")),
    Kind(
        "one image is repeated",
        "frozen-after + max-age + 2 beats",
        ("HTTP server repeats one frame", "RTSP server repeats one frame"),
        uses_frozen=True,
    ),
    Kind("a frame is black or white", _ONE, ("black frames", "saturated frames"), uses_age=False),
    Kind(
        "a frame did not arrive whole, or has another size",
        _ONE,
        (
            "HTTP stream changes resolution", "RTSP stream changes resolution", "HTTP server sends truncated JPEGs",
            "HTTP server sends JPEGs cut short with an end", "pixel flood",
        ),
        uses_age=False,
    ),
    Kind(
        "inference raises, gives no numbers or lacks memory",
        _ONE,
        (
            "inference raises", "inference raises for good", "inference gives NaN", "out of memory",
            "no more memory for the process",
        ),
        uses_age=False,
    ),
    Kind("inference is slow or hangs", _AGE, ("slow network", "inference hangs")),
)  # fmt: skip
JUDGED = ("Sources", "Links", "Frames", "Network")
"""The sections of the page whose faults make results not valid."""
NOT_RUNNING = ("open that hangs at the start",)
"""Faults before the first result: there is nothing yet that could be acted on."""


def measured(page_text: str) -> Mapping[str, float | None]:
    """Returns the seconds until each judged fault was told, from the text of the reliability page."""
    parts = _SECTION.split(page_text)[1:]
    times: dict[str, float | None] = {}
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        if kind in JUDGED:
            for row in _ROW.finditer(text):
                times[row["fault"]] = None if row["told"] == "–" else float(row["told"])
    return times


def table(page_text: str) -> str:
    """Returns the table in Markdown.

    Raises:
        OutputError: the reliability page lacks a fault.
    """
    times = measured(page_text)
    pace, defaults = Pace(), Limits()
    suite = Limits(max_age_s=pace.max_age_s, heartbeat_hz=pace.heartbeat_hz, frozen_after_s=_FROZEN_AFTER_S)
    rows = []
    for kind in KINDS:
        if missing := [fault for fault in kind.faults if times.get(fault) is None]:
            raise OutputError(f"{PAGE} has no time for the fault {missing[0]!r}; run the fault suite first")
        slowest = max(kind.faults, key=lambda fault: times[fault] or 0.0)
        rows.append(
            [
                kind.name, kind.bound, number(kind.seconds(defaults), 1), number(kind.seconds(suite), 1),
                number(times[slowest], 2), slowest, str(len(kind.faults)),
            ]
        )  # fmt: skip
    heads = (
        "what goes wrong",
        "told within",
        "by default, s",
        "in the suite, s",
        "measured, s",
        "slowest",
        "faults",
    )
    return Table(heads, rows, left=2).markdown()


def main() -> int:
    """Writes the table into the page."""
    write_part(SAFETY, "times", table(PAGE.read_text("utf-8")))
    print(f"wrote {SAFETY}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
