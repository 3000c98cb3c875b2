"""The end of a run: its report and its exit status."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from ...core.callbacks import OnMessage
from ...core.errors import EdgesegError, SessionError
from ...core.outputs import write_atomically
from ...core.printable import printable
from ...runtime.batching import BatchChoice
from ...runtime.pipeline import RunReport
from ...runtime.pipeline.trace import Trace
from ...runtime.segmenter import Segmenter
from ...runtime.threads import ThreadChoice
from ..console import head_line, head_of, summary_table
from .request import RunRequest

log = logging.getLogger(__name__)


def tell(
    report: RunReport,
    segmenter: Segmenter,
    threads: ThreadChoice,
    batches: BatchChoice,
    request: RunRequest,
    print_line: OnMessage,
) -> None:
    """Reports the measurements, as one JSON log record or as a table, and writes them to a file if requested.

    Raises:
        OutputError: the statistics cannot be written.
    """
    tuned = {"threads": threads.summary(), "batch": batches.summary()}
    measured = {**head_of(segmenter), **tuned, **report.stats}
    if request.stats is not None:  # before printing, which fails if the reader has gone
        write_atomically(request.stats, (json.dumps(measured, indent=2) + "\n").encode(), request.force)
    if request.log_json:
        stats = report.stats
        log.info(
            "%d frames at %.1f a second, %d dropped, %d not valid, %d missing",
            stats["frames"],
            stats["fps"],
            stats["dropped"],
            stats["invalid_frames"],
            stats["missing"],
            extra={"event": "report", "fields": measured},
        )
    else:
        print_line(head_line(segmenter))
        if threads.threads is not None:
            print_line(f"{'threads':18}{threads.line}")
        if "sources" in report.stats or batches.batch > 1:
            print_line(f"{'batch':18}{batches.line}")
        print_line(summary_table(report.stats) + "\n")


def conclude(report: RunReport, request: RunRequest, print_line: OnMessage) -> int:
    """Reports the written outputs and the error that ended the run.

    Returns:
        The exit status: 0; 1 if a camera or the network was lost for good; 2 if an output or a file failed.

    Raises:
        Exception: a bug, which keeps its traceback.
    """
    written = [
        f"{kind} {path}" for kind, path in (("statistics", request.stats), ("trace", request.trace)) if path
    ]
    written += report.kept
    if request.log_json and written:
        log.info("wrote %s", ", ".join(written), extra={"event": "wrote", "fields": {"outputs": written}})
    for name in () if request.log_json else written:
        print_line(f"wrote {printable(name)}")
    for error in report.failures.values():
        if not isinstance(error, EdgesegError):
            raise error
    if report.ended_by is not None:
        log.error("%s", report.ended_by, extra={"event": "run-failed"})
    if report.ended_by is not None or report.lost:
        return SessionError.exit_status
    return EdgesegError.exit_status if report.failures else 0


def ends(
    trace: Trace, on_message: OnMessage
) -> Callable[[type[BaseException] | None, BaseException | None, object], None]:
    """Returns an exit callback that closes the trace, also after a failure: then the trace matters most."""

    def end(kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        try:
            trace.close()
        except EdgesegError as failure:
            if error is None:
                raise
            on_message(str(failure))
            return
        if error is not None:
            on_message(f"wrote trace {trace.path}")
        if trace.cut:
            on_message(f"{trace.path} has grown to its limit and lacks the end of the run")

    return end
