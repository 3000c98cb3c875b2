from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from edgeseg.apps.run.request import SinkOptions
from edgeseg.cli.sink_options import add_options, parse_bytes, sink_options
from edgeseg.core.errors import UsageError


def parse(*words: str) -> SinkOptions:
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--preview")
    add_options(parser)
    return sink_options(parser.parse_args(words))


def test_nothing_is_asked_for() -> None:
    assert parse() == SinkOptions()
    assert not parse("--save", "v.mp4").any_asked


def test_everything_is_asked_for() -> None:
    options = parse(
        "--save", "v.mp4", "--segment", "60", "--save-limit", "20G", "--masks", "m", "--masks-format", "npz",
        "--events", "-", "--events", "e.jsonl", "--shm", "front", "--shm-frames",
        "--record", "r", "--record-limit", "1.5T",
    )  # fmt: skip
    assert options == SinkOptions(
        60.0, 20 * 10**9, "npz", ("-", "e.jsonl"), "front", True, Path("r"), 1_500_000_000_000
    )
    assert options.any_asked
    assert options.take_standard_output


def test_the_limit_is_of_a_recording_that_the_page_begins_too() -> None:
    assert parse("--preview", "0", "--record-limit", "20G").record_limit_bytes == 20 * 10**9
    assert parse("--shm", "front-{source}").shm == "front-{source}"


def test_ros_gets_all_that_follows_its_flag() -> None:
    assert (parse("--ros2").ros2, parse("--ros2", "--events", "-").ros2) == ("edgeseg", "edgeseg")
    options = parse("--ros2", "drone_1/front", "--ros-args", "-r", "mask:=/mask", "--params-file", "p.yaml")
    assert (options.ros2, options.any_asked) == ("drone_1/front", True)
    assert options.ros_args == ("-r", "mask:=/mask", "--params-file", "p.yaml")
    assert parse("--ros2", "/front_{source}").ros2 == "/front_{source}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ros-args", "-r", "a:=b"], "--ros-args goes with --ros2 alone"),
        (["--ros2", "1front"], "--ros2 '1front': expected a namespace of letters, digits and '_'"),
        (["--ros2", "a//b"], "--ros2 'a//b': expected a namespace"),
        (["--segment", "60"], "--segment goes with --save alone"),
        (["--save", "v.mp4", "--save-limit", "20G"], "--save-limit goes with --segment alone"),
        (["--shm-frames"], "--shm-frames goes with --shm alone"),
        (["--record-limit", "20G"], "--record-limit goes with --record, or with --preview"),
        (["--shm", ""], "--shm '': expected a name of letters"),
        (["--shm", "a/b"], "--shm 'a/b': expected a name of letters"),
        (["--events", "udp:127.0.0.1:9"], "--events udp:127.0.0.1:9: did you mean udp://127.0.0.1:9$"),
        (["--events", "UDP:/[::1]:9"], r"--events UDP:/\[::1\]:9: did you mean udp://\[::1\]:9$"),
        (["--events", "tcp://h:9"], "--events tcp://…: expected -, a file, or udp://HOST:PORT"),
        (["--events", ""], "--events is empty"),
        (["--masks-format", "npz"], "--masks-format goes with --masks alone"),
        (["--save", "v.mp4", "--segment", "soon"], r"--segment soon: expected 1 to 86400 seconds"),
        (["--save", "v.mp4", "--segment", "0"], r"--segment 0: expected 1 to 86400 seconds"),
        (["--save", "v.mp4", "--segment", "nan"], r"--segment nan: expected 1 to 86400 seconds"),
        (["--record", "r", "--record-limit", "much"], "--record-limit much: expected a size of 10M or more"),
        (["--record", "r", "--record-limit", "5M"], "--record-limit 5M: expected a size of 10M or more"),
        (["--events", "-", "--events", "-"], "--events names one target twice"),
    ],
)
def test_what_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        parse(*words)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10M", 10**7), ("10mb", 10**7), ("0.5 G", 5 * 10**8), ("12000000", 12_000_000), ("2T", 2 * 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes("--save-limit", text) == size
