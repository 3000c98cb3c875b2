"""The bench for faults: a folder, a bundle, and the steps that most faults share."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.clock import now
from edgeseg.runtime.reasons import STALE

from .live_run import LiveRun, Pace
from .outcome import Outcome, expect

_HOLD_SECONDS = 0.3
"""A fault goes on for so long after it was reported, to see that nothing valid comes meanwhile."""


@dataclass(frozen=True)
class Expected:
    """The report of a fault that is expected of a run.

    Attributes:
        reasons: one after the other; the first is the one that is timed. ``stale`` may come before them: it is
            true, and comes first while the cause is not known yet.
        within_s: until the first reason must be reported; ``--max-age`` and two heartbeats where None.
        or_else: a reason that may also be reported, and first; ``reasons`` may then be none.
    """

    reasons: Sequence[str]
    within_s: float | None = None
    or_else: Sequence[str] = ()


class Bench:
    """Starts runs.

    Args:
        bundle: that they run.
        folder: for all that they write.
        pace: that they are given.
    """

    def __init__(self, bundle: Path, folder: Path, pace: Pace) -> None:
        self.bundle, self.folder, self.pace = bundle.resolve(), folder, pace
        self._numbers = itertools.count(1)
        self.environment = {"EDGESEG_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}

    def new_folder(self) -> Path:
        """A folder of its own for one run."""
        folder = self.folder / f"run-{next(self._numbers):03d}"
        folder.mkdir(parents=True)
        return folder

    def start(
        self,
        source: str,
        *more: str,
        sabotaged: bool = False,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        events: str = "file",
        on: Sequence[str] = (),
    ) -> LiveRun:
        """Starts a run over a source.

        Args:
            source: ``--source``.
            more: further options; they win over those here.
            sabotaged: whether it has the weak spots of :mod:`.saboteur`.
            on: those of their switches that are on from the start.
            environment, events: as for :class:`LiveRun`.
            folder: to run in; a new one where None.
        """
        arguments = [
            "--bundle", str(self.bundle), "--source", source, "--threads", "1", "--batch", "1",
            "--open-timeout", "10", "--frozen-after", "1",
            *self.pace.options, *more,
        ]  # fmt: skip
        return LiveRun(
            arguments,
            folder or self.new_folder(),
            self.pace,
            weak_spots=on if sabotaged else None,
            environment={**self.environment, **(environment or {})},
            events=events,
        )

    def refused(self, *arguments: str, says: Sequence[str], status: int = 2) -> Outcome:
        """Runs what must be refused at the start: one line that says why, and the exit status.

        Args:
            arguments: of ``run_camera.py``.
            says: words that the line must have.
            status: that it must exit with.
        """
        folder = self.new_folder()
        before = set(os.listdir(folder))
        with LiveRun(arguments, folder, self.pace, environment=self.environment, events="none") as live_run:
            got = live_run.ends()
            seconds = now() - live_run.began_at
        lines = live_run.log.strip().splitlines()
        expect(got == status, f"exit status {got}, expected {status}: {live_run.log}")
        expect(
            len(lines) == 1 and "Traceback" not in live_run.log,
            f"expected one line on stderr, got: {live_run.log}",
        )
        missing = [word for word in says if word not in lines[0]]
        expect(not missing, f"the message lacks {missing}: {lines[0]}")
        left = set(os.listdir(folder)) - before - {"switches", "events.jsonl"}
        expect(not left, f"it left {sorted(left)}")
        return Outcome(f"exit status {got}: “{_shortened(lines[0], folder.parent, self.bundle)}”", seconds)

    def disturb(
        self,
        live_run: LiveRun,
        begin: Callable[[], object],
        end: Callable[[], object],
        expected: Expected,
        hold_s: float = _HOLD_SECONDS,
    ) -> Outcome:
        """Lets a fault begin in a run that is well, and end; checks and measures what the run says.

        Args:
            live_run: whose results are valid.
            begin, end: of the fault.
            expected: what the run must say.
            hold_s: for how long the fault goes on after the last reason.

        Raises:
            UnexpectedOutcomeError: something else was said, or too late, or a valid result came meanwhile.
        """
        reasons, or_else, within_s = expected.reasons, expected.or_else, expected.within_s
        live_run.valid(now())
        began_at = now()
        begin()
        told = [live_run.invalid(reason, began_at)["monotonic_s"] for reason in reasons]
        if or_else:
            # Another reason may be reported first.
            any_of_them = live_run.invalid_of([*reasons, *or_else], began_at)["monotonic_s"]
            told = [any_of_them, *told[1:]]
        bound = within_s + self.pace.slack_s if within_s is not None else self.pace.told_s
        expect(
            told[0] - began_at <= bound,
            f"it was reported after {told[0] - began_at:.2f} s, not {bound:.2f}",
        )
        time.sleep(hold_s)
        ended_at = now()
        end()
        said = live_run.verdicts(told[0], ended_at)
        others = {reason for _, valid, reason in said if not valid} - {*reasons, *or_else, STALE}
        expect(not others, f"it also said {sorted(others)}, expected {list(reasons)}")
        believed = [f"{at - began_at:.3f}" for at, valid, _ in said if valid]
        expect(not believed, f"it called results valid {', '.join(believed)} s after the fault began")
        back = live_run.valid(ended_at)["monotonic_s"]
        live_run.check_ages()
        expect(live_run.process.poll() is None, "the run has ended")
        seen = dict.fromkeys(reason for _, valid, reason in said if not valid)
        words = ", then ".join(f"`{reason}`" for reason in reasons or seen)
        return Outcome(words, told[0] - began_at, back - ended_at)


def _shortened(line: str, folder: Path, bundle: Path) -> str:
    """A message without the places of this machine."""
    line = re.sub(re.escape(f"{folder}/") + r"run-\d+/", "", line).replace(f"{bundle.parent}/", "")
    line = re.sub(r"\brun-\d+/", "", line)
    return line.partition("error: ")[2] or line
