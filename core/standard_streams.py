"""Reliable standard input, output and error, however the program was started."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import termios

from .printable import printable_lines

_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def mend_standard_streams() -> None:
    """Opens streams that were closed at the start (``>&-``), and lets no character end the program.

    Otherwise a file that is opened later would get the number of a closed stream and receive what libraries print.
    A character that the terminal's encoding lacks is written as an escape.
    """
    for number, _, _ in _STREAMS:
        if not _is_open(number):
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
    # Only now, for these open files too.
    for _, name, mode in _STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            opened = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - it stays
            setattr(sys, name, opened)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def standard_output_is_closed() -> bool:
    """True if :func:`mend_standard_streams` found standard output closed."""
    return sys.stdout is None or getattr(sys.stdout, "name", "") == os.devnull


def terminal_is_gone() -> bool:
    """True if standard output or error was a terminal that has been closed."""
    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                return True
    return False


def tell(text: str) -> None:
    """Prints lines on standard error, safe for a terminal. Does nothing if standard error cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(printable_lines(text), file=sys.stderr, flush=True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
