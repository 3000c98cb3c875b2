"""A long run under faults at random: does it ever report something wrong, end early, or use more and more memory?

``PYTHONPATH=tests python -m faults.live_soak --minutes 10 --seed 7`` runs ``run_camera.py`` as a process over an HTTP
camera, with a segmented video, masks, events and a preview page whose viewers come and go. One fault after the other
is injected, drawn from the seed, and a full disk at the end. Afterwards each tenth of each second is judged by the
events that had come until then: a valid result that is young enough, or none, for the reason that there then was.
"""

from __future__ import annotations

import argparse
import random
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edgeseg.benchmarks.describe import describe_machine, machine_lines
from edgeseg.benchmarks.soak import slope_mb_per_hour
from edgeseg.benchmarks.tables import Table, item, number
from edgeseg.core.errors import EdgesegError, UsageError
from edgeseg.runtime.clock import now

from .bench import Bench
from .disturbances import Disturbance, Happening, disturbances, drawn, full_disk
from .judge import Judgement, judge
from .live_run import LiveRun, Pace
from .outcome import UnexpectedOutcomeError, expect
from .outputs import frames_of
from .page import write_part
from .preview import Watcher, port_of
from .servers import mjpeg_server

_PROG = "PYTHONPATH=tests python -m faults.live_soak"
_FPS, _SIZE_HW = 15.0, (480, 640)
_FROZEN_AFTER_S = 2.0
_MOST_VIEWERS = 3
_STEP_SECONDS = 0.02
_MEMORY_SECONDS = 1.0
_WARM_UP_SHARE, _WARM_UP_S = 0.3, 120.0
"""Of the time, and at most: until memory is looked at. Each kind of fault brings code and buffers with it once."""

_LEAK_MB_PER_HOUR, _LEAK_MB = 60.0, 6.0
"""A leak is both: so steep, and so much in all. Faults come at random, and with them buffers that come and go."""

_FULL_DISK_SHARE = 0.95
_SHOWN = 10


@dataclass
class Soak:
    """A soak that has been.

    Attributes:
        judgement: of its seconds.
        happenings: the faults that were injected.
        back_s: by disturbance, how long after its end results were valid again.
        memory: float64 [n, 2]: seconds, and MB of the run and its children.
        images: that viewers were sent.
        segments: of video, that can be read.
        problems: what else was wrong, a line each.
    """

    judgement: Judgement
    happenings: list[Happening]
    back_s: dict[str, list[float]]
    memory: np.ndarray
    images: int
    segments: int
    problems: list[str] = field(default_factory=list)

    @property
    def settled(self) -> np.ndarray:
        """The memory after the warm-up."""
        last = float(self.memory[-1, 0])
        settled: np.ndarray = self.memory[self.memory[:, 0] >= min(_WARM_UP_S, _WARM_UP_SHARE * last)]
        return settled

    @property
    def slope(self) -> float:
        """MB an hour, by least squares, after the warm-up."""
        return slope_mb_per_hour(self.settled)

    @property
    def grown_mb(self) -> float:
        """The growth of memory over the measured time, by that slope."""
        return self.slope * float(self.settled[-1, 0] - self.settled[0, 0]) / 3600

    @property
    def leaks(self) -> bool:
        """True if memory grows."""
        return self.slope > _LEAK_MB_PER_HOUR and self.grown_mb > _LEAK_MB


def main(argv: Sequence[str] | None = None) -> int:
    """Soaks; returns 0, 1 where something was wrong, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog=_PROG, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="default: %(default)g")
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="of the faults; default: %(default)s"
    )
    parser.add_argument(
        "--bundle", type=Path, default=Path("bundle/lraspp"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="write what came of it into this page")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    try:
        if not 0.2 <= args.minutes <= 10_000:
            raise UsageError(f"--minutes {args.minutes:g}: expected 0.2 to 10000")
        if not (args.bundle / "bundle.json").is_file():
            raise UsageError(
                f"--bundle {args.bundle}: there is no bundle; python export.py --model lraspp makes one"
            )
        machine = machine_lines(describe_machine())
        with tempfile.TemporaryDirectory(prefix="edgeseg-soak-") as folder:
            pace = Pace(max_age_s=1.0, heartbeat_hz=5.0, timeout_s=2.0)
            done = soak(args.bundle, Path(folder), 60 * args.minutes, args.seed, pace)
        lines = read_out(done, pace)
        print("\n".join([*machine, "", *lines, "", table(done).plain()]))
        wrong = [*done.judgement.wrong, *done.problems, *(["memory grows"] if done.leaks else [])]
        if wrong:
            more = f"\nand {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise UnexpectedOutcomeError("this was wrong:\n" + "\n".join(wrong[:_SHOWN]) + more)
        if args.page is not None:
            command = shlex.join([*_PROG.split(), *words])
            write_part(args.page, "soak", _markdown(done, lines, machine, command))
            print(f"\nwrote {args.page}")
    except EdgesegError as error:
        print(f"{_PROG}: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def soak(bundle: Path, folder: Path, seconds: float, seed: int, pace: Pace) -> Soak:
    """Runs under faults for the given time, and judges the run.

    Args:
        bundle: that runs.
        folder: for all that is written.
        seconds: how long.
        seed: of the faults and of the viewers.
        pace: of the run.

    Raises:
        UnexpectedOutcomeError: the run ended, or did not become valid at all.
    """
    bench, place = Bench(bundle, folder, pace), folder / "soak"
    place.mkdir(parents=True)
    more = (
        "--save", "film.mp4", "--segment", "5", "--save-limit", "200M", "--masks", "masks", "--preview", "0",
        "--frozen-after", str(_FROZEN_AFTER_S), "--inference-timeout", "5",
    )  # fmt: skip
    with mjpeg_server(size_hw=_SIZE_HW, fps=_FPS) as server, ExitStack() as stack:
        live_run = stack.enter_context(
            bench.start(server.url, *more, sabotaged=True, folder=place, events="pipe")
        )
        port = port_of(live_run)
        began_at = live_run.valid()["monotonic_s"]
        drawing = random.Random(seed + 1)
        coming = drawn(disturbances(server, live_run, port, _FROZEN_AFTER_S, pace.max_age_s), drawing)
        viewers = _Viewers(port, random.Random(seed + 2))
        storm = _Storm(live_run, coming, viewers, random.Random(seed), began_at, began_at + seconds)
        storm.blow()
        ended_at = now()
        live_run.signal()
        status = live_run.ends()
        viewers.go()
    problems = []
    # The full disk at the end has ended outputs, which is reported.
    if status != 2:
        problems.append(
            f"the run ended with status {status}, expected 2 after a full disk: {live_run.log[-600:]}"
        )
    problems += [
        line for line in live_run.log.splitlines() if re.search(r"Traceback|Fatal|core dumped", line)
    ]
    videos = sorted(place.glob("film-*.mp4"))
    problems += [f"{video.name} cannot be read" for video in videos if not frames_of(video)]
    return Soak(
        judge(live_run.events, storm.happenings, pace, began_at, ended_at),
        storm.happenings,
        storm.back_s,
        np.array(storm.memory),
        viewers.images,
        len(videos),
        problems,
    )


class _Storm:
    """Injects one disturbance after the other into a run, and keeps a list of them."""

    def __init__(
        self,
        live_run: LiveRun,
        coming: Iterator[Disturbance],
        viewers: _Viewers,
        generator: random.Random,
        began_at: float,
        until: float,
    ) -> None:
        self._live_run, self._coming, self._viewers, self._random = live_run, coming, viewers, generator
        self._began_at, self._until = began_at, until
        self.happenings: list[Happening] = []
        self.back_s: dict[str, list[float]] = {}
        self.memory: list[tuple[float, float]] = []

    def blow(self) -> None:
        """Until the end, which a full disk comes before."""
        full_at = self._began_at + _FULL_DISK_SHARE * (self._until - self._began_at)
        while now() < full_at:
            self._happen(next(self._coming), full_at)
            self._pass(self._random.uniform(0.5, 3.0))
        self._happen(full_disk(self._live_run), self._until)
        self._pass(self._until - now())

    def _happen(self, what: Disturbance, no_later_than: float) -> None:
        longest = max(what.shortest_s, min(what.longest_s, no_later_than - now()))
        seconds = self._random.uniform(what.shortest_s, longest)
        happening = Happening(what, now())
        self.happenings.append(happening)
        what.begin()
        self._pass(seconds)
        happening.ended_at = now()
        what.end()
        self._come_back(what, happening.ended_at)

    def _come_back(self, what: Disturbance, ended_at: float) -> None:
        """Waits for the next valid result; the judge says whether it came in time."""
        patience_s = what.back_s + self._live_run.pace.told_s + 30
        while now() < ended_at + patience_s:
            self._pass(_STEP_SECONDS)
            for event in reversed(self._live_run.events):
                if event["monotonic_s"] < ended_at:
                    break
                if event["type"] == "result" and event["valid"] and event["captured_at"] >= ended_at:
                    self.back_s.setdefault(what.name, []).append(event["monotonic_s"] - ended_at)
                    return
        raise UnexpectedOutcomeError(
            f"no valid result for {patience_s:.0f} s after {what.name}: {self._live_run.log}"
        )

    def _pass(self, seconds: float) -> None:
        """Lets time go by."""
        until = now() + seconds
        while True:
            expect(self._live_run.process.poll() is None, f"the run has ended: {self._live_run.log[-900:]}")
            self._live_run.poll()
            at = now()
            if not self.memory or at - self._began_at - self.memory[-1][0] >= _MEMORY_SECONDS:
                self.memory.append((at - self._began_at, resident_mb(self._live_run.process.pid)))
                self._viewers.come_and_go()
            if at >= until:
                return
            time.sleep(min(_STEP_SECONDS, until - at))


class _Viewers:
    """Viewers of the preview page, who come and go."""

    def __init__(self, port: int, generator: random.Random) -> None:
        self._port, self._random = port, generator
        self._here: list[Watcher] = []
        self._sent = 0

    @property
    def images(self) -> int:
        """The number of images that were sent to all watchers."""
        return self._sent + sum(each.images for each in self._here)

    def come_and_go(self) -> None:
        """One comes or goes, now and then."""
        if self._random.random() > 0.3:
            return
        if len(self._here) < self._random.randint(0, _MOST_VIEWERS):
            self._here.append(Watcher(self._port))
        elif self._here:
            self._leave(self._here.pop(0))

    def go(self) -> None:
        """All leave."""
        while self._here:
            self._leave(self._here.pop())

    def _leave(self, viewer: Watcher) -> None:
        viewer.close()
        self._sent += viewer.images


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, in MB; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
        children = " ".join(path.read_text("utf-8") for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    match = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
    own = int(match[1]) * 1024 / 1e6 if match else 0.0
    return own + sum(resident_mb(int(child)) for child in children.split())


def table(done: Soak) -> Table:
    """A table of the disturbances: their number, and the time until results were valid again."""
    rows = []
    for name in sorted({each.what.name for each in done.happenings}):
        times = [each for each in done.happenings if each.what.name == name]
        back = done.back_s.get(name, [])
        reasons = ", ".join(times[0].what.reasons) or "none: results stay valid"
        rows.append(
            [name, reasons, str(len(times)), number(statistics.median(back), 2), number(max(back), 2)]
        )
    heads = ("fault", "reasons that are allowed", "times", "valid again, s: median", "worst")
    return Table(heads, rows, left=2)


def read_out(done: Soak, pace: Pace) -> list[str]:
    """The soak's findings as sentences."""
    judgement = done.judgement
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(judgement.reasons.items()))
    minutes = float(done.settled[-1, 0] - done.settled[0, 0]) / 60
    right = "each second was right" if not judgement.wrong else f"{len(judgement.wrong)} samples were wrong"
    return [
        f"{judgement.seconds} seconds under {len(done.happenings)} faults: {right}. {judgement.valid} had valid results"
        f" throughout; in the others the reasons were, in seconds: {told or 'none'}.",
        f"The oldest result that was called valid was {judgement.oldest_s:.2f} s old when it was checked; the bound"
        f" is {pace.told_s:.1f} s, which is `--max-age` and two heartbeats.",
        f"Memory {'grows' if done.leaks else 'does not grow'}: {done.settled[:, 1].mean():.0f} MB resident on average,"
        f" a slope of {done.slope:+.1f} MB an hour by least squares, {done.grown_mb:+.2f} MB over the last"
        f" {minutes:.1f} minutes.",
        f"The run did not end before it was asked to; {done.segments} segments of video are whole; viewers were sent"
        f" {done.images} images.",
    ]


def _markdown(done: Soak, lines: Sequence[str], machine: Sequence[str], command: str) -> str:
    return "\n".join(
        [
            "<!-- not run: it takes minutes, and its figures are of one machine -->",
            "```bash", command, "```", "",
            *(item(f"{line}.") for line in machine), "",
            *(item(line) for line in lines), "",
            table(done).markdown(),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
