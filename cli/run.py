"""``edgeseg run``: runs a bundle on a camera, a video or images."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import NoReturn

from ..apps.run.stop import OverdueError, Stop, Stopped
from .run_options import configure, run_request

__all__ = ["configure", "run"]

_INTERRUPTED = 130


def run(args: argparse.Namespace) -> int:
    """Runs a bundle over a source.

    Returns:
        0; 1 if a camera or the network was lost for good; 2 if an output failed.

    Raises:
        EdgesegError: an option, the bundle, the source or an output cannot work.
    """
    # edgeseg reports an error in one line; OpenCV and FFmpeg, loaded below, would report it again in their own way.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    request = run_request(args)

    from ..apps.console import StatusLine
    from ..apps.run.session import Session
    from ..apps.service.logs import configure_logging, json_line
    from ..apps.service.redaction import redact
    from ..core.memory import share_arenas
    from ..core.standard_streams import tell

    share_arenas()
    status, stop = StatusLine(live=not args.log_json), Stop()
    try:
        with configure_logging(args.log_json, status.write_line, args.log_level) as on_message:
            session = Session(request, stop, status, on_message)
            exit_status = session.run()
    except Stopped as stopped:
        if stopped.busy:
            message = "edgeseg run: stopped"
            tell(json_line("info", __name__, "ended", message) if args.log_json else message)
            _leave(_INTERRUPTED)
        raise
    except OverdueError as overdue:
        # As the command line does, and ends the process as well: the library is still at work.
        message = f"edgeseg run: error: {overdue}"
        tell(json_line("error", __name__, "ended", message) if args.log_json else redact(message))
        _leave(overdue.exit_status)
    if session.stuck:
        _leave(exit_status)
    return exit_status


def _leave(exit_status: int) -> NoReturn:
    """Ends the process without destructors: they would fail, because a library is still at work in a thread."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader may have gone
            stream.flush()
    os._exit(exit_status)
