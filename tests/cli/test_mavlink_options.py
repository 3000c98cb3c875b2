"""The options for the link to an autopilot."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from edgeseg.apps.run.request import MavlinkRequest, RunRequest, SinkOptions
from edgeseg.cli.mavlink_options import add_options, mavlink_request
from edgeseg.core.errors import UsageError
from edgeseg.embedding.mavlink.address import LinkAddress


def request(*words: str) -> MavlinkRequest | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return mavlink_request(parser.parse_args(words))


def test_there_is_no_link_by_default() -> None:
    assert request() is None


def test_an_address_is_enough() -> None:
    asked = request("--mavlink", "serial:/dev/ttyTHS1?baud=921600")
    assert asked == MavlinkRequest(LinkAddress("serial", device="/dev/ttyTHS1", baud=921600))
    assert not RunRequest(sinks=SinkOptions(mavlink=asked)).has_no_output


def test_a_link_with_all_its_options() -> None:
    asked = request(
        "--mavlink", "udpin:0.0.0.0:14540", "--autopilot", "px4", "--mavlink-system", "7", "--mavlink-key", "key",
    )  # fmt: skip
    assert asked == MavlinkRequest(LinkAddress("udpin", "0.0.0.0", 14540), "px4", 7, Path("key"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--autopilot", "px4"],
            "--autopilot goes with --mavlink alone; give --mavlink too, or leave it out",
        ),
        (["--mavlink-system", "1"], "--mavlink-system goes with --mavlink alone"),
        (["--mavlink-key", "key"], "--mavlink-key goes with --mavlink alone"),
        (
            ["--mavlink", "udp:1.2.3.4:5"],
            "--mavlink udp:1.2.3.4:5: expected udpout:HOST:PORT, udpin:HOST:PORT or",
        ),
        (["--mavlink", "udpin:0.0.0.0:5", "--mavlink-system", "0"], "--mavlink-system 0: expected 1 to 255"),
        (
            ["--mavlink", "udpin:0.0.0.0:5", "--mavlink-system", "256"],
            "--mavlink-system 256: expected 1 to 255",
        ),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        request(*words)
    assert message in str(error.value)
