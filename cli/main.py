"""The ``edgeseg`` command and its verbs, each in a module of its own.

A verb's module has ``configure(parser)`` and ``run(args) -> int``, and imports nothing heavy until ``run``.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..core.errors import EdgesegError, MissingDependencyError, UsageError
from ..core.libraries import stay_silent
from ..core.no_memory import why_no_memory
from ..core.signals import ending_signals
from ..core.standard_streams import mend_standard_streams, tell, terminal_is_gone
from .configuration import parse_with_config
from .parser import VerbParser

VERBS = {
    "models": ("edgeseg.cli.models", "list the networks: parameters, GFLOPs, stride, weights"),
    "data": ("edgeseg.cli.data", "import, check, split and make labelled data sets"),
    "train": ("edgeseg.cli.train", "train a network on a VOC-layout data set"),
    "export": ("edgeseg.cli.export", "PyTorch to ONNX to a verified bundle"),
    "verify": (
        "edgeseg.cli.verify",
        "measure a bundle against PyTorch, and refuse it past its gates",
    ),
    "build": (
        "edgeseg.cli.build",
        "build a TensorRT engine from a bundle, on the machine that runs it",
    ),
    "run": ("edgeseg.cli.run", "run a bundle on a camera, a video or images"),
    "replay": ("edgeseg.cli.replay", "run a recording again, and show what changed"),
    "cameras": ("edgeseg.cli.cameras", "list the cameras of this machine, and their modes"),
    "calibrate-camera": ("edgeseg.cli.calibrate_camera", "calibrate a camera from images of a chessboard"),
    "benchmark": ("edgeseg.cli.benchmark", "time a bundle against other ways to run it"),
    "doctor": (
        "edgeseg.cli.doctor",
        "show what this machine has for edgeseg, and what is missing",
    ),
}

KINDS = {
    ("benchmark", "stability"): (
        "edgeseg.cli.benchmark_stability",
        "measure how much a bundle's class maps flicker, and what smoothing brings",
    ),
}
"""Second words that make another command of a verb. A folder of such a name is given as ``./NAME``."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR)
"""Errors that any access to a file name may raise."""
_INTERRUPTED, _READER_GONE = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``edgeseg VERB …`` and returns its exit status: 0 done, 1 refused by a gate, 2 a user's error."""
    mend_standard_streams()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] not in VERBS:
        top = VerbParser(
            prog="edgeseg",
            description="Semantic segmentation from PyTorch to a camera.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="verbs:\n" + "\n".join(f"  {name:17} {text}" for name, (_, text) in VERBS.items()),
        )
        top.add_argument("--version", action="version", version=_version())
        top.add_argument(
            "verb", choices=list(VERBS), metavar="VERB", help="what to do; `edgeseg VERB --help` tells more"
        )
        try:
            top.parse_args(args[:1] or ["--help"])
        except UsageError as error:
            tell(_last_line("error", f"edgeseg: error: {error}", False))
            return error.exit_status
    words = 2 if tuple(args[:2]) in KINDS else 1
    return run_verb(" ".join(args[:words]), args[words:], prog=" ".join(["edgeseg", *args[:words]]))


def module_of(verb: str) -> tuple[str, str]:
    """Returns the module of a verb, or of a verb and its second word, and the text that describes it."""
    first, _, second = verb.partition(" ")
    return KINDS[first, second] if second else VERBS[first]


def run_verb(verb: str, argv: Sequence[str], prog: str) -> int:
    """Parses ``argv`` for one verb and runs it. A user's error gives one line on stderr, without a traceback."""
    mend_standard_streams()
    module_name, text = module_of(verb)
    as_json = "--log-json" in argv
    interrupted: list[int] = []
    try:
        with _interrupted_by_signals(interrupted):
            module = importlib.import_module(module_name)
            parser = VerbParser(prog=prog, description=text[0].upper() + text[1:] + ".")
            module.configure(parser)
            parser.refuse_unknown_flags(argv)
            args = parse_with_config(parser, argv)
            as_json = getattr(args, "log_json", False)
            _bound_what_is_read()
            stay_silent()  # also for imports by other libraries, and for child processes
            status = int(module.run(args))
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        tell(_last_line("info", f"{prog}: stopped", as_json))
        return _INTERRUPTED
    except Exception as error:
        if interrupted:  # a library that is loading turns the interruption into its own error
            tell(_last_line("info", f"{prog}: stopped", as_json))
            return _INTERRUPTED
        message, status = _message_and_status(error)
        if message:
            tell(_last_line("error", f"{prog}: error: {message}", as_json))
        return status


def _message_and_status(error: Exception) -> tuple[str, int]:
    """The message and exit status for an error. A bug is raised again, with its traceback."""
    reason = why_no_memory(error)
    if reason and (isinstance(error, MissingDependencyError) or not isinstance(error, EdgesegError)):
        return (
            f"there is not enough memory ({reason}); end other programs, raise what `ulimit -v` or the container"
            " allows, or take smaller sizes"
        ), EdgesegError.exit_status
    if isinstance(error, EdgesegError):
        return str(error), error.exit_status
    if isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and error.errno == errno.EIO and terminal_is_gone()
    ):
        # The reader of the output, such as `head`, needs no more.
        _drop_standard_output()
        return "", _READER_GONE
    if isinstance(error, OSError) and error.errno in _FULL:
        _drop_standard_output()
        return (
            f"cannot write what there is to say: {error.strerror}; make room, or write elsewhere",
            EdgesegError.exit_status,
        )
    if isinstance(error, OSError) and error.errno in _NAMES and error.filename is not None:
        message = f"cannot use {os.fsdecode(error.filename)}: {error.strerror}; give another name, or check permissions"
        return message, EdgesegError.exit_status
    raise error


def _drop_standard_output() -> None:
    """Redirects standard output to the null device, so that the interpreter's last flush does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bound_what_is_read() -> None:
    """Sets the limits on images and streams, which OpenCV reads when it is imported."""
    from ..runtime.sources.limits import set_limits

    set_limits()


def _last_line(level: str, message: str, as_json: bool) -> str:
    """The last line for stderr, in the form of the log."""
    from ..apps.service.logs import json_line
    from ..apps.service.redaction import redact
    from ..core.printable import printable

    return json_line(level, "edgeseg.cli", "ended", message) if as_json else printable(redact(message))


@contextmanager
def _interrupted_by_signals(came: list[int]) -> Iterator[None]:
    """Makes SIGTERM and SIGHUP unwind the program as Ctrl-C does, so that half-written outputs are removed.

    Args:
        came: receives the signals, in order of arrival.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    numbers = ending_signals()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _version() -> str:
    from .._version import __version__

    return f"edgeseg {__version__}"
