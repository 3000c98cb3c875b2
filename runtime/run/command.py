"""``edgeseg run``: a bundle on a camera, a video or pictures."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import NoReturn

from ..errors import UsageError
from .options import configure
from .stop import OverdueError, Stop, Stopped

__all__ = ["configure", "run"]

_INTERRUPTED = 130


def run(args: argparse.Namespace) -> int:
    """Runs a bundle over a source.

    Returns:
        0; 1 where a camera or the network was lost for good; 2 where an output failed.

    Raises:
        EdgesegError: an option, the bundle, the source or an output cannot work.
    """
    # What goes wrong is told in one line; OpenCV and FFmpeg, loaded below, would tell it again in their own way.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames {args.frames}: expected 1 or more")

    from ..console import StatusLine
    from ..memory import share_arenas
    from ..service.logs import configure_logging, json_line
    from ..service.redaction import redact
    from ..standard_streams import tell
    from .flight import Flight

    share_arenas()
    status, stop = StatusLine(live=not args.log_json), Stop()
    try:
        with configure_logging(args.log_json, status.say, args.log_level) as say:
            flight = Flight(args, stop, status, say)
            exit_status = flight.run()
    except Stopped as stopped:
        if stopped.busy:
            told = "edgeseg run: stopped"
            tell(json_line("info", __name__, "ended", told) if args.log_json else told)
            _leave(_INTERRUPTED)
        raise
    except OverdueError as overdue:
        # As the command line does, but for the end of the process: the library is still at work.
        told = f"edgeseg run: error: {overdue}"
        tell(json_line("error", __name__, "ended", told) if args.log_json else redact(told))
        _leave(overdue.exit_status)
    if flight.stuck:
        _leave(exit_status)
    return exit_status


def _leave(exit_status: int) -> NoReturn:
    """Ends the process though a library is still at work in a thread: its destructors would trip over that."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody may be left to read it
            stream.flush()
    os._exit(exit_status)
