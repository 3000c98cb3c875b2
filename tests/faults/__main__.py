"""``PYTHONPATH=tests python -m faults``: brings about every fault of the catalogue, and writes their table."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgeseg.benchmarks.describe import describe_machine, machine_lines
from edgeseg.benchmarks.tables import Table, item, number, wrapped
from edgeseg.core.errors import EdgesegError, UsageError
from edgeseg.runtime.clock import now

from .bench import Bench
from .live_run import Pace
from .outcome import Fault, NotHereError, Outcome, UnexpectedOutcomeError, catalogue
from .page import write_part

_PROG = "PYTHONPATH=tests python -m faults"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the catalogue; returns 0, 1 where an outcome is not as expected, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog=_PROG, description="Bring about every fault of the catalogue.")
    parser.add_argument(
        "--bundle", type=Path, default=Path("bundle/lraspp"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help="faults whose name or kind has these words",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE.md", help="write the table between the markers of this page"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    try:
        chosen = [each for each in catalogue() if _is_asked_for(each, args.only)]
        if not chosen:
            raise UsageError(f"--only {' '.join(args.only)}: no fault has that; --list names them all")
        if args.list:
            print(Table(("kind", "fault"), [(each.kind, each.name) for each in chosen], left=2).plain())
            return 0
        if args.only and args.page is not None:
            raise UsageError("--page takes the whole catalogue, without --only")
        if not (args.bundle / "bundle.json").is_file():
            raise UsageError(
                f"--bundle {args.bundle}: there is no bundle; python export.py --model lraspp makes one"
            )
        return _run(chosen, args, shlex.join([*_PROG.split(), *words]))
    except EdgesegError as error:
        print(f"{_PROG}: error: {error}", file=sys.stderr)
        return error.exit_status


def _is_asked_for(each: Fault, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in each.name.lower() or word == each.kind for word in words)


def _run(chosen: Sequence[Fault], args: argparse.Namespace, command: str) -> int:
    pace, began_at, failed = Pace(), now(), 0
    rows: list[tuple[Fault, Outcome | str]] = []
    with tempfile.TemporaryDirectory(prefix="edgeseg-faults-") as folder:
        bench = Bench(args.bundle, Path(folder), pace)
        for each in chosen:
            try:
                outcome: Outcome | str = each.run(bench)
            except NotHereError as error:
                outcome = f"not run: {error}"
            except UnexpectedOutcomeError as error:
                failed += 1
                outcome = f"NOT AS EXPECTED: {error}"
            rows.append((each, outcome))
            print(_line(each, outcome), flush=True)
    done = sum(isinstance(outcome, Outcome) for _, outcome in rows)
    seconds, absent = now() - began_at, len(rows) - done - failed
    summary = f"{done} faults as expected, {failed} not, {absent} not run, in {seconds:.0f} s"
    print(f"\n{summary}")
    if failed:
        return UnexpectedOutcomeError.exit_status
    if args.page is not None:
        write_part(args.page, "faults", _markdown(rows, pace, args.bundle, command, summary))
        print(f"wrote {args.page}")
    return 0


def _line(each: Fault, outcome: Outcome | str) -> str:
    if isinstance(outcome, str):
        return f"{each.name}: {outcome}"
    told = "" if outcome.told_seconds is None else f"; reported or ended after {outcome.told_seconds:.2f} s"
    back = (
        "" if outcome.recovered_seconds is None else f"; valid again after {outcome.recovered_seconds:.2f} s"
    )
    return f"{each.name}: {outcome.observed}{told}{back}"


def _markdown(
    rows: Sequence[tuple[Fault, Outcome | str]], pace: Pace, bundle: Path, command: str, summary: str
) -> str:
    lines = [
        "<!-- not run: it takes minutes, and its figures are of one machine -->",
        "```bash", command, "```", "",
        wrapped(
            f"{summary}. `--max-age {pace.max_age_s:g} --heartbeat {pace.heartbeat_hz:g}`, one thread, bundle"
            f" `{bundle.name}`: a fault must be reported within {pace.told_s:.1f} s unless its entry says otherwise."
        ),
        "",
        *(item(f"{line}.") for line in machine_lines(describe_machine())),
    ]  # fmt: skip
    for kind in dict.fromkeys(each.kind for each, _ in rows):
        of_kind = [(each, outcome) for each, outcome in rows if each.kind == kind]
        lines += ["", f"### {kind.capitalize()}", "", _times(of_kind), "", *(_entry(*row) for row in of_kind)]
    return "\n".join(lines)


def _times(rows: Sequence[tuple[Fault, Outcome | str]]) -> str:
    """The table of the times, one row for each fault."""
    cells = []
    for each, outcome in rows:
        reported, back = (
            (None, None) if isinstance(outcome, str) else (outcome.told_seconds, outcome.recovered_seconds)
        )
        cells.append([each.name.replace("|", "\\|"), number(reported, 2), number(back, 2)])
    return Table(("fault", "reported or ended, s", "valid again, s"), cells).markdown()


def _entry(each: Fault, outcome: Outcome | str) -> str:
    """Describes one fault, what is expected and what was observed, as an entry of a list."""
    observed = outcome if isinstance(outcome, str) else outcome.observed
    return item(
        f"**{each.name}.** Injected: {each.injected}. Expected: {each.expected}. Observed: {observed}."
    )


if __name__ == "__main__":
    sys.exit(main())
