"""The common parts of the measurements without a verb: the command line, and the outputs."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import EdgesegError, UsageError
from .describe import machine_lines
from .outputs import check_folder, write_folder
from .tables import Table, item


def run_program(
    name: str,
    doc: str,
    configure: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Parses the command line, runs the measurement, and returns the exit status; a user's error is one line on stderr.

    Args:
        name: of the module under ``edgeseg.benchmarks``.
        doc: its first line is the description.
        configure: adds the measurement's own options to ``--out``, ``--force`` and ``--threads``.
        run: runs the measurement.
        argv: the command line; the program's own if None.
    """
    prog = f"python -m edgeseg.benchmarks.{name}"
    parser = argparse.ArgumentParser(prog=prog, description=doc.splitlines()[0], allow_abbrev=False)
    configure(parser)
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--threads", type=int, default=cpus, metavar="N", help="CPU threads; default: all processors"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {name}.json, {name}.md and plots here"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    args.command = shlex.join([*prog.split(), *(word for word in words if word != "--force")])
    try:
        if not 1 <= args.threads <= cpus:
            raise UsageError(
                f"--threads {args.threads}: expected 1 to {cpus}, the processors of this machine"
            )
        if args.out is not None:
            check_folder(args.out, args.force)
        run(args)
    except EdgesegError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


@dataclass(frozen=True)
class Results:
    """The results of a measurement.

    Attributes:
        name: of the files.
        title: of the page.
        figures: ready for JSON, with the ``machine``.
        tables: the figures for display.
        words: the conclusions.
        images: by file name, the plots' captions and the functions that draw them.
    """

    name: str
    title: str
    figures: Mapping[str, Any]
    tables: Sequence[Table]
    words: Sequence[str]
    images: Mapping[str, tuple[str, Callable[[], bytes]]]


def write_results(args: argparse.Namespace, results: Results) -> None:
    """Prints the results, and writes them to the folder of ``--out``.

    Args:
        args: of :func:`run_program`.
        results: of the measurement.
    """
    machine = machine_lines(results.figures["machine"])
    print("\n".join([results.title, *machine, ""]))
    print("\n\n".join(table.plain() for table in results.tables))
    print("\n".join(["", *results.words]))
    if args.out is None:
        return
    drawn = {file: draw() for file, (_, draw) in results.images.items()}
    lines = [
        f"# {results.title}", "", "<!-- not run: it takes minutes, and its figures are of one machine -->", "```bash",
        args.command, "```", "", *(item(f"{line}.") for line in machine), "", "## Findings", "",
        *(item(line) for line in results.words), "", "## Measured", "",
    ]  # fmt: skip
    for table in results.tables:
        lines += [table.markdown(), ""]
    lines += [f"![{text}]({file})\n" for file, (text, _) in results.images.items()]
    page = "\n".join(lines).rstrip() + "\n"
    figures = {**results.figures, "command": args.command}
    write_folder(args.out, figures, page, drawn, results.name, args.force)
    print(f"\nwrote {args.out}")
