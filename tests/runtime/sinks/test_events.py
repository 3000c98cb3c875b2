"""Events: each of the documented form, at every target, whatever its reader does."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from edgeseg.core.errors import OutputError, OutputGoneError
from edgeseg.core.labels import LabelMap
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.runtime.reasons import MEANING
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.event_targets import MOST_DATAGRAM_BYTES
from edgeseg.runtime.sinks.events import SCHEMA, EventsSink
from edgeseg.runtime.status import STARTING, FindingStatus, SinkStatus, Status


def schema() -> dict[str, Any]:
    text = resources.files("edgeseg.runtime.sinks").joinpath("event_schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def strict() -> Callable[[dict[str, Any]], object]:
    """The schema, which also refuses fields that it does not tell of."""
    tight = copy.deepcopy(schema())
    for kind in tight["oneOf"]:
        kind["properties"] = {**{name: {} for name in tight["properties"]}, **kind["properties"]}
        kind["additionalProperties"] = False
        for each in kind["properties"].values():
            for inner in (each, each.get("items", {})):
                if "properties" in inner:
                    inner["additionalProperties"] = False
    return fastjsonschema.compile(tight)


VALID = strict()


def read(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for event in events:
        VALID(event)
    return events


def test_the_schema_knows_the_vocabulary_and_refuses_what_is_none(tmp_path: Path) -> None:
    assert schema()["definitions"]["reason"]["enum"] == ["", *MEANING]
    assert schema()["properties"]["schema"] == {"const": SCHEMA}
    good = {
        "schema": SCHEMA, "type": "change", "time": "2026-01-02T03:04:05.678Z", "monotonic_s": 1.0, "source": 0,
        "what": "validity", "from": "valid", "to": "invalid", "detail": "dark",
    }  # fmt: skip
    VALID(good)
    for wrong in (
        {"type": "result"},
        {"what": "weather"},
        {"time": "now"},
        {"schema": "other/1"},
        {"more": 1},
    ):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            VALID({**good, **wrong})


def test_results_heartbeats_and_changes(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    sink = EventsSink(str(tmp_path / "e.jsonl"), labels)
    sink.announce(
        make_status(state=STARTING, valid=False, reason="source-lost", age_seconds=None, frame_id=None)
    )
    sink.write(replace(make_output(7), name="seven"))
    sink.announce(make_status())
    sink.write(make_output(8, reason="dark"))
    sink.write(make_output(8, reason="source-lost", beat=True))
    sink.write(make_output(8, reason="source-lost", beat=True))
    failed = SinkStatus("video v.mp4", 8, 0, errors=1, disabled=True, problem="the disk is full")
    lost = make_status(
        connected=False, problem="no answer", degraded="int8 for fp32", sinks=[failed], frame_id=8
    )
    sink.announce(lost)
    sink.announce(make_status(reconnects=1, frame_id=8))
    sink.close(commit=False)
    events = read(tmp_path / "e.jsonl")
    told = [(e["type"], e.get("what"), e.get("from"), e.get("to"), e.get("detail")) for e in events]
    nothing = (None, None, None, None)
    assert told == [
        ("heartbeat", *nothing),
        ("change", "validity", "unknown", "valid", ""),
        ("result", *nothing),
        ("change", "state", "starting", "running", ""),
        ("heartbeat", *nothing),
        ("change", "validity", "valid", "invalid", "dark"),
        ("result", *nothing),
        ("change", "validity", "invalid", "invalid", "source-lost"),
        ("change", "source", "connected", "lost", "no answer"),
        ("change", "degraded", "as asked", "int8 for fp32", ""),
        ("change", "sink", "enabled", "disabled", "the disk is full"),
        ("heartbeat", *nothing),
        ("change", "source", "lost", "connected", ""),
        ("change", "degraded", "int8 for fp32", "as asked", ""),
        ("change", "sink", "disabled", "enabled", ""),
        ("heartbeat", *nothing),
    ]
    result = events[2]
    assert (result["frame_id"], result["name"], result["valid"], result["size_hw"]) == (
        7,
        "seven",
        True,
        [40, 60],
    )
    assert result["latency_ms"] == pytest.approx(10, abs=0.02)
    assert result["age_ms"] >= 0
    assert result["shares"] == {
        "ground": pytest.approx(52 / 60, abs=1e-4),
        "road": pytest.approx(8 / 60, abs=1e-4),
    }
    assert result["timings_ms"] == {"preprocess": 0.5, "inference": 8.0, "decode": 0.25}
    dark = events[6]
    assert (dark["valid"], dark["reason"], dark["shares"]) == (False, "dark", {})
    heartbeat = events[4]
    assert heartbeat["board"] == {
        "temperatures": {"cpu-thermal": 51.2},
        "throttled": ["cpu at 1.2 of 2.0 GHz"],
    }
    assert heartbeat["sinks"][0] == {
        "name": "video v.mp4", "written": 8, "dropped": 0, "errors": 0, "disabled": False,
    }  # fmt: skip
    times = [event["monotonic_s"] for event in events]
    assert times == sorted(times)


def test_findings_are_in_results_and_heartbeats_and_their_changes_are_told(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    spot = LandingSpot(True, "", 3.0, (12.5, 7.0), (1.0, 2.0), (1.5, -2.25, 20.0), 20.25, 3.5, 2.75, 1.5)
    none = spot.invalidated("no-clear-area")
    sink = EventsSink(str(tmp_path / "e.jsonl"), labels)
    for number, found in enumerate((none, spot, spot, none)):
        output = make_output(number)
        sink.write(replace(output, result=replace(output.result, findings={"landing": found})))
    sink.announce(
        make_status(
            findings={"landing": FindingStatus(False, "mask-invalid", "", none.facts(), {}, none.blind_to)}
        )
    )
    sink.close(commit=True)
    events = read(tmp_path / "e.jsonl")
    changes = [event for event in events if event["type"] == "change" and event["what"] == "finding"]
    assert [(each["finding"], each["from"], each["to"], each["detail"]) for each in changes] == [
        ("landing", "unknown", "invalid", "no-clear-area"),
        ("landing", "invalid", "valid", ""),
        ("landing", "valid", "invalid", "no-clear-area"),
    ]
    results = [event["findings"]["landing"] for event in events if event["type"] == "result"]
    assert results == [found.facts() for found in (none, spot, spot, none)]
    heartbeats = [event for event in events if event["type"] == "heartbeat"]
    assert [each["findings"] for each in heartbeats] == [
        {
            "landing": {
                "valid": False,
                "reason": "mask-invalid",
                "blind_to": "slope, wires, untaught surfaces",
            }
        }
    ]


def test_several_sources_share_a_file(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    sinks = [EventsSink(str(tmp_path / "e.jsonl"), labels, number) for number in (1, 2)]
    for number, sink in enumerate(sinks, 1):
        sink.write(replace(make_output(number), source=number))
        sink.announce(make_status(number=number))
        sink.announce(make_status(number=3 - number))  # of the other alone
    for sink in sinks:
        sink.close(commit=True)
    events = read(tmp_path / "e.jsonl")
    assert [(event["source"], event["type"]) for event in events] == [
        (number, kind) for number in (1, 2) for kind in ("change", "result", "heartbeat")
    ]


def test_a_file_is_added_to_after_a_cut_line_and_follows_a_rotation(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"schema":"edgeseg.ev')  # by a run that was killed
    sink = EventsSink(str(path), labels)
    sink.write(make_output(0))
    first, *rest = path.read_text().splitlines()
    assert first == '{"schema":"edgeseg.ev'
    assert [json.loads(line)["type"] for line in rest] == ["change", "result"]
    path.rename(tmp_path / "e.jsonl.1")
    sink.announce(make_status())
    sink.close(commit=True)
    assert [event["type"] for event in read(path)] == ["heartbeat"]


def test_a_full_disk_is_told(labels: LabelMap, make_output: Callable[..., Output]) -> None:
    sink = EventsSink("/dev/full", labels)
    with pytest.raises(OutputGoneError, match=r"cannot write events to /dev/full: No space left on device"):
        sink.write(make_output(0))
    sink.close(commit=False)


def test_a_named_pipe_that_nobody_reads_holds_nobody_up(
    tmp_path: Path, labels: LabelMap, make_output: Callable[..., Output]
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = EventsSink(str(path), labels)

    def fill() -> None:
        for number in range(10_000):
            sink.write(make_output(number))

    with pytest.raises(OutputError, match=r"nobody has read events from .*pipe for 0\.5 s"):
        fill()
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    first = os.read(number, 1 << 20)
    sink.write(make_output(7))
    lines = (first + os.read(number, 1 << 20)).splitlines()
    os.close(number)
    sink.close(commit=True)
    # The line that was cut is one line of its own; all others are whole.
    parsed = [line for line in lines if line.startswith(b"{") and line.endswith(b"}")]
    assert len(parsed) >= len(lines) - 1
    for line in parsed:
        VALID(json.loads(line))
    assert json.loads(lines[-1])["frame_id"] == 7


def test_datagrams_fit_and_say_what_was_cut(
    make_output: Callable[..., Output], make_status: Callable[..., Status]
) -> None:
    labels = LabelMap.generic(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        sink = EventsSink(f"udp://127.0.0.1:{receiver.getsockname()[1]}", labels)
        sink.write(make_output(1))
        many = [SinkStatus(f"video {'long name ' * 5}{number}", 1, 0) for number in range(30)]
        sink.announce(make_status(sinks=many))
        sink.close(commit=True)
        datagrams = [receiver.recv(65535) for _ in range(3)]
    events = [json.loads(datagram) for datagram in datagrams]
    for event in events:
        VALID(event)
    assert max(map(len, datagrams)) <= MOST_DATAGRAM_BYTES
    assert [event["type"] for event in events] == ["change", "result", "heartbeat"]
    assert ["cut" in event for event in events] == [False, False, True]
    assert events[2]["cut"] == ["sinks"]
    assert events[2]["fps"] == 12.5


TO_STANDARD_OUTPUT = """
import sys, time
import numpy as np
from edgeseg.core.errors import OutputError
from edgeseg.core.labels import LabelMap
from edgeseg.runtime.result import Segmentation
from edgeseg.runtime.sinks.base import Output
from edgeseg.runtime.sinks.events import EventsSink

sink = EventsSink("-", LabelMap.generic(40))
frame, classes = np.zeros((40, 60, 3), np.uint8), np.arange(2400, dtype=np.int64).reshape(40, 60) % 40
output = Output(frame, Segmentation(classes.astype(np.uint8)), "", lambda: frame)
longest, failures = 0.0, 0
for number in range(int(sys.argv[1])):
    begin = time.monotonic()
    try:
        sink.write(output)
    except OutputError as error:
        failures += 1
        print(error, file=sys.stderr)
        if failures == 2:
            break
    longest = max(longest, time.monotonic() - begin)
sink.close(commit=True)
print("longest", longest, file=sys.stderr)
"""


def child(events: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", TO_STANDARD_OUTPUT, str(events)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_standard_output_gets_whole_lines() -> None:
    out, err = child(300).communicate(timeout=60)
    lines = out.splitlines()
    assert len(lines) == 301, err
    for line in lines:
        VALID(json.loads(line))


def test_whoever_closed_standard_output_ends_the_sink_cleanly() -> None:
    process = child(10**6)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert b"the reader of the events from standard output has gone" in err
    assert b"Traceback" not in err
    assert process.returncode == 0


def test_whoever_does_not_read_standard_output_cannot_hold_the_sink_for_long() -> None:
    process = child(10**6)
    assert process.stderr is not None
    errors = process.stderr.read()  # the pipe of the events fills meanwhile
    assert errors.count(b"nobody has read events from standard output for 0.5 s") == 2
    assert float(errors.split(b"longest ")[1]) < 10
    process.communicate(timeout=60)


def test_a_heartbeat_that_a_newer_result_has_overtaken_is_not_written(
    make_output: Callable[..., Output], make_status: Callable[..., Status], labels: LabelMap, tmp_path: Path
) -> None:
    sink = EventsSink(str(tmp_path / "e.jsonl"), labels)
    sink.write(make_output(7))
    sink.announce(make_status(frame_id=7))
    sink.write(make_output(8, reason="dark"))
    sink.announce(make_status(frame_id=7, valid=True))
    sink.announce(make_status(frame_id=8, valid=False, reason="dark"))
    sink.close(commit=True)
    heartbeats = [event for event in read(tmp_path / "e.jsonl") if event["type"] == "heartbeat"]
    assert [(event["frame_id"], event["valid"]) for event in heartbeats] == [(7, True), (8, False)]
