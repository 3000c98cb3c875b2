"""Does something in a forked child, and says what came of it."""

from __future__ import annotations

import os
import select
import signal
import warnings
from collections.abc import Callable

HANGS = "hangs"
_SECONDS = 20


def in_child(do: Callable[[], object]) -> str:
    """Runs a function in a forked child; returns its result or error as text, ``hangs`` if it does not come back."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Of a fork beside threads, which is what is tried out.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        try:
            text = str(do())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    try:
        answered, _, _ = select.select([reading], [], [], _SECONDS)
        if not answered:
            os.kill(pid, signal.SIGKILL)
        return os.read(reading, 4096).decode() if answered else HANGS
    finally:
        os.close(reading)
        os.waitpid(pid, 0)
