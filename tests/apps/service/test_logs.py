"""Log records: their form, their rate, the secrets that never pass, and the cost of a stuck reader."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from datetime import datetime

import pytest
from edgeseg.apps.service.logs import configure_logging
from edgeseg.apps.service.rate_limit import RateLimit
from edgeseg.apps.service.redaction import redact, redact_value
from edgeseg.runtime.clock import now

log = logging.getLogger("edgeseg.tests")


def lines_of(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def nobody(text: str) -> None:
    raise AssertionError(f"said {text!r}, though all was to go to stderr as JSON")


def test_plain_lines_go_where_people_look() -> None:
    said: list[str] = []
    with configure_logging(False, said.append) as on_message:
        log.info(
            "camera %d is back after %.1f s", 1, 2.5, extra={"event": "source-back", "fields": {"source": 1}}
        )
        on_message("and this was said")
        log.debug("nobody wants to know")
    assert said == ["camera 1 is back after 2.5 s", "and this was said"]


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    before = now()
    with configure_logging(True, nobody, "debug") as on_message:
        log.warning(
            "two\nlines", extra={"event": "source-lost", "fields": {"source": 1, "ages": [float("nan"), 2]}}
        )
        log.debug("fine print")
        on_message("ready")
    lost, debug, said = lines_of(capfd)
    at = datetime.fromisoformat(str(lost["time"]).replace("Z", "+00:00"))
    assert abs(at.timestamp() - time.time()) < 60
    assert before <= float(str(lost["monotonic"])) <= now()
    assert {key: lost[key] for key in ("level", "logger", "event", "message", "fields")} == {
        "level": "warning",
        "logger": "edgeseg.tests",
        "event": "source-lost",
        "message": "two\nlines",
        "fields": {"source": 1, "ages": ["nan", 2]},
    }
    assert (debug["level"], debug["event"], debug["fields"]) == ("debug", "", {})
    assert said["message"] == "ready"


def test_people_are_told_the_previews_token_and_a_log_that_is_kept_is_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    said: list[str] = []
    text = "preview at http://0.0.0.0:8080/?token=abc of rtsp://pilot:s3cret@cam/1"
    with configure_logging(False, said.append) as on_message:
        on_message(text)
    assert said == ["preview at http://0.0.0.0:8080/?token=abc of rtsp://***@cam/1"]
    with configure_logging(True, nobody) as on_message:
        on_message(text)
    assert lines_of(capfd)[0]["message"] == "preview at http://0.0.0.0:8080/?*** of rtsp://***@cam/1"


def test_the_least_that_is_logged() -> None:
    said: list[str] = []
    with configure_logging(False, said.append, "error"):
        log.warning("a warning")
        log.error("an error")
    assert said == ["an error"]


def test_all_is_as_before_afterwards() -> None:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = list(root.handlers), logging.getLogger("edgeseg").level
    with pytest.raises(RuntimeError, match="the run failed"), configure_logging(False, print):
        raise RuntimeError("the run failed")
    assert (root.handlers, logging.getLogger("edgeseg").level) == (handlers, level)
    assert threading.excepthook is hook
    assert "edgeseg-log" not in {thread.name for thread in threading.enumerate()}


def test_an_error_keeps_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def fail() -> None:
        try:
            raise ValueError("rtsp://pilot:s3cret@cam/1 broke")
        except ValueError:
            log.exception("it broke", extra={"event": "broken", "fields": {}})

    with configure_logging(False, said.append):
        fail()
    assert said[0].startswith("it broke\nTraceback (most recent call last):")
    assert said[0].endswith("ValueError: rtsp://***@cam/1 broke")
    with configure_logging(True, nobody):
        fail()
    (line,) = lines_of(capfd)
    assert "ValueError: rtsp://***@cam/1 broke" in line["fields"]["traceback"]


def test_what_libraries_warn_of_is_logged() -> None:
    said: list[str] = []
    with configure_logging(False, said.append), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings took the hook away
        warnings.warn("this will go away", DeprecationWarning, stacklevel=1)
        logging.getLogger("another.library").info("chatter")
        logging.getLogger("another.library").error("its trouble")
    assert "DeprecationWarning: this will go away" in said[0]
    assert said[1:] == ["its trouble"]


def test_the_death_of_a_thread_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with configure_logging(True, nobody):
        thread = threading.Thread(target=lambda: 1 / 0, name="capture-1")
        thread.start()
        thread.join()
    (line,) = lines_of(capfd)
    assert (line["level"], line["event"]) == ("critical", "thread-died")
    assert line["fields"]["thread"] == "capture-1"
    assert "ZeroDivisionError" in line["fields"]["traceback"]


def test_control_characters_do_not_reach_a_terminal() -> None:
    said: list[str] = []
    with configure_logging(False, said.append):
        log.warning("the camera calls itself %s", "\x1b[2Jgone\r\nroot: all is well")
    assert said == [r"the camera calls itself \x1b[2Jgone\r\nroot: all is well"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_flood_is_cut_and_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with configure_logging(True, nobody, limit=RateLimit(3, 10, clock)):
        for _ in range(50):
            log.warning("lost", extra={"event": "source-lost", "fields": {"source": 1}})
        log.warning("lost", extra={"event": "source-lost", "fields": {"source": 2}})
        clock.now += 10
        for _ in range(3):
            log.warning("lost", extra={"event": "source-lost", "fields": {"source": 1}})
    lines = lines_of(capfd)
    assert [line["fields"] for line in lines] == [
        *[{"source": 1}] * 3,
        {"source": 2},
        {"source": 1, "suppressed": 47},
        {"kind": "source-lost 1", "suppressed": 2},
    ]
    assert lines[-1]["event"] == "log-suppressed"


def test_a_flood_in_plain_lines() -> None:
    said: list[str] = []
    clock = Clock()

    def fail(number: int) -> None:
        log.warning(f"failure {number}")  # without an event, the line of code tells what is of one kind

    with configure_logging(False, said.append, limit=RateLimit(1, 10, clock)):
        for number in range(5):
            fail(number)
        clock.now += 10
        fail(5)
        fail(6)
    assert said[:2] == ["failure 0", "failure 5 (and 4 more like it, held back)"]
    assert len(said) == 3
    assert said[2].startswith("held back 1 more log lines of one kind: test_logs:")


def test_a_quiet_kind_earns_its_burst_again() -> None:
    clock = Clock()
    limit = RateLimit(2, 10, clock)
    record = logging.makeLogRecord({"event": "source-lost"})
    assert [limit.admit(record) for _ in range(3)] == [0, 0, None]
    clock.now += 100
    assert [limit.admit(record) for _ in range(3)] == [1, 0, None]


def test_kinds_without_end_take_no_memory_without_end() -> None:
    limit = RateLimit(0, 1e9, Clock())
    for number in range(5000):
        assert limit.admit(logging.makeLogRecord({"event": f"event-{number}"})) is None
    remains = limit.remains()
    assert len(remains) == 513
    assert sum(remains.values()) == 5000


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("cannot open rtsp://pilot:s3cret@10.0.0.2/cam", "cannot open rtsp://***@10.0.0.2/cam"),
        ("http://me:p@ss/w?rd#x@host:80/a is down", "http://***@host:80/a is down"),
        ("RTSPS://u:p'w\"d@h/x", "RTSPS://***@h/x"),
        ("https://host/a?token=abc&b=1, tried twice", "https://host/a?*** tried twice"),
        ("v4l2:///dev/video0?width=1280", "v4l2:///dev/video0?width=1280"),
        ("rtspsrc location=rtsp://h/x user-id=me user-pw=no", "rtspsrc location=rtsp://h/x user-id=*** user-pw=***"),
        ("password=\"two words\" next", "password=*** next"),
        ("Authorization: Basic cGlsb3Q6czNjcmV0", "Authorization: ***"),
        ("Cookie: preview=abc", "Cookie: ***"),
        ("the token file is missing: t.txt", "the token file is missing: t.txt"),
        ("me@example.org wrote", "me@example.org wrote"),
        ("no http:/me:pw@h/a?k=1 here", "no http:/***@h/a?*** here"),
        ("no http//me:pw@h/a here", "no http//***@h/a here"),
        ("no 'RTSP:me:pw@h/a' here", "no 'RTSP:***@h/a' here"),
        ("no me:pw@h:1/a here", "no ***@h:1/a here"),
        ("--surce='me:p=w@h:1/a'", "--surce='***@h:1/a'"),
        ("no http://me:p w x@h/a here", "no http://***@h/a here"),
        ("no http:/me:p w@h/a here", "no http:/***@h/a here"),
        ("no http//me:p w@h/a here", "no http//***@h/a here"),
        ("http://cam:80 is down, ask me@h", "http://cam:80 is down, ask me@h"),
        ("http://a:80/x and rtsp://me:pw@h/y", "http://a:80/x and rtsp://***@h/y"),
        ("as in http://USER:PASSWORD@HOST/", "as in http://USER:PASSWORD@HOST/"),
        ("12:30:01 in m.py:7: @property", "12:30:01 in m.py:7: @property"),
        ("see https://host/page#part", "see https://host/page#part"),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_the_rest_is_not(text: str, safe: str) -> None:
    assert redact(text) == safe


def test_secrets_in_fields() -> None:
    fields = {
        "password": "x",
        "api_key": "y",
        "url": "rtsp://u:p@h/",
        "deep": [{"Authorization": "z"}],
        "at": object,
        "many": {1, 2},
    }
    assert redact_value(fields) == {
        "password": "***",
        "api_key": "***",
        "url": "rtsp://***@h/",
        "deep": [{"Authorization": "***"}],
        "at": "<class 'object'>",
        "many": [1, 2],
    }


@pytest.mark.parametrize(
    "text",
    [
        "a." * 50_000,
        "rtsp://" * 20_000,
        "token-" * 20_000,
        "x://" + "@" * 50_000,
        "://a:b " * 20_000,
        "a:=" * 30_000 + "@",
    ],
)
def test_hostile_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2


def test_a_reader_that_reads_nothing_holds_back_the_log_and_not_the_run() -> None:
    code = (
        "import logging, time\n"
        "from edgeseg.apps.service.logs import configure_logging\n"
        "from edgeseg.apps.service.rate_limit import RateLimit\n"
        "log = logging.getLogger('edgeseg.tests')\n"
        "began = time.monotonic()\n"
        "with configure_logging(True, print, limit=RateLimit(10**9, 1)):\n"
        "    for number in range(3000): log.warning('x' * 200)\n"
        "    logged = time.monotonic() - began\n"
        "print(logged, time.monotonic() - began)"
    )
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, text=True, timeout=60
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == 0
    logged, ended = map(float, done.stdout.split())
    assert logged < 10
    assert ended - logged < 5


def test_a_text_without_end_is_cut() -> None:
    said: list[str] = []
    with configure_logging(False, said.append):
        log.warning("%s", "x" * 1_000_000)
    assert len(said[0]) < 10_000


def test_what_was_lost_is_told() -> None:
    release, said = threading.Event(), []

    def slow(text: str) -> None:
        release.wait(30)
        said.append(text)

    with configure_logging(False, slow, limit=RateLimit(10**9, 1)):
        for number in range(1500):
            log.warning("line %d", number)
        release.set()
    deadline = time.monotonic() + 30
    while "edgeseg-log" in {
        thread.name for thread in threading.enumerate()
    }:  # on a busy machine it lags behind
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert said[0] == "line 0"
    assert "were lost" in said[-1]
    assert int(said[-1].split()[0]) + len(said) - 1 == 1500
