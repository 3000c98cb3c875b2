"""Streams that were closed, that lack characters, or whose terminal has gone."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from edgeseg.core.errors import OutputError
from edgeseg.core.standard_streams import mend_standard_streams, tell, terminal_is_gone
from edgeseg.runtime.sinks.event_targets import open_target

CHILD = """
import json, os, sys
from edgeseg.core.standard_streams import mend_standard_streams, standard_output_is_closed
mend_standard_streams()
with open(sys.argv[1], "w") as result:
    print("to nobody, or to the log")
    print("to nobody, or to the log", file=sys.stderr)
    os.write(1, b"by a library")
    os.write(2, b"by a library")
    json.dump([result.fileno(), sys.stdin.read(), standard_output_is_closed()], result)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_closed_at_the_start_is_nobodys_file(tmp_path: Path, closed: str) -> None:
    result = tmp_path / "result.json"
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" "$2" {closed}', sys.executable, CHILD, result],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # With all three closed nothing but what was printed to the file is in it.
    number, read, output_is_closed = json.loads(result.read_text())
    assert number > 2
    assert (read, output_is_closed) == ("", closed != "<&-" and closed != "2>&-")


def test_events_need_a_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open("w") as null:
        monkeypatch.setattr(sys, "stdout", null)
        with pytest.raises(OutputError, match="standard output, which is closed; give them a file"):
            open_target("-")


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    mend_standard_streams()
    print("loss – … \udce9")
    assert written.getvalue() == b"loss \\u2013 \\u2026 \\udce9\n"


def test_nobody_to_tell_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    for stream in (None, Gone()):
        monkeypatch.setattr(sys, "stderr", stream)
        tell("anybody?")


def test_a_terminal_that_was_closed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    before = os.dup(1)
    try:
        os.dup2(theirs, 1)
        assert not terminal_is_gone()
        os.close(ours)
        assert terminal_is_gone()
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(theirs)
