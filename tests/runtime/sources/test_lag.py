"""The age of frames that waited in the network, by their sender's stamps; and the options of the command line."""

from __future__ import annotations

import argparse
import time

import numpy as np
import pytest
from edgeseg.cli.source_options import add_options, live_options
from edgeseg.core.errors import UsageError
from edgeseg.runtime.sources.arrivals import Load
from edgeseg.runtime.sources.lag import Lag, skip_backlog
from edgeseg.runtime.sources.live import LiveOptions
from edgeseg.runtime.sources.process.capture import CaptureError, Grabbed


def test_frames_that_come_at_their_own_pace_are_new() -> None:
    lag = Lag()
    for i in range(1000):
        assert lag.captured_at(50 + i / 25, 7 + i / 25) == pytest.approx(50 + i / 25, abs=1e-6)


def test_a_burst_after_a_pause_is_as_old_as_it_is() -> None:
    lag = Lag()
    for i in range(100):
        lag.captured_at(50 + i / 25, i / 25)
    # Three seconds of network silence, then all that was sent meanwhile at once.
    ages = [57.0 - lag.captured_at(57.0 + i * 0.001, (100 + i) / 25) for i in range(75)]
    assert ages[0] == pytest.approx(3.0, abs=0.05)
    assert ages[-1] == pytest.approx(0.04, abs=0.11)
    assert ages == sorted(ages, reverse=True)


def test_a_link_that_is_too_slow_shows_as_age_that_grows() -> None:
    lag = Lag()
    ages = [(at := 1.2 * i / 25) - lag.captured_at(at, i / 25) for i in range(500)]
    assert ages[-1] > 3


def test_clocks_that_drift_are_no_lag() -> None:
    lag = Lag()
    for i in range(100000):
        at = 50 + i / 25 * 1.0002  # a poor crystal
        assert at - lag.captured_at(at, i / 25) < 0.001


def test_a_late_first_frame_is_believed_until_a_better_one_comes() -> None:
    lag = Lag()
    assert lag.captured_at(52.0, 0.0) == 52.0
    assert lag.captured_at(52.0, 1.9) == 52.0
    assert 53.9 - lag.captured_at(53.9, 2.0) == pytest.approx(1.8, abs=0.03)


@pytest.mark.parametrize(("slack", "claims"), [(False, 4.5), (True, 0.0)])
def test_a_link_that_is_a_little_too_slow_is_seen_unless_it_is_known_to_have_room(
    slack: bool, claims: float
) -> None:
    """Half a percent: five seconds wait after a thousand. A camera may also claim a rate that it has not."""
    lag = Lag()
    for i in range(25_000):
        at = i / 25 * 1.005
        age = at - lag.captured_at(at, i / 25, slack)
    assert age == pytest.approx(claims, abs=0.1)


def test_a_lag_of_any_length_is_no_new_beginning() -> None:
    lag = Lag()
    for i in range(5_000):
        at = i / 25 * 2
        age = at - lag.captured_at(at, i / 25)
    assert age == pytest.approx(200, abs=1)
    # Nor is what comes at once after half an hour in which the network held everything back.
    lag = Lag()
    lag.captured_at(0.0, 0.0)
    assert 1800.0 - lag.captured_at(1800.0, 0.04) == pytest.approx(1799.96, abs=1)


def test_stamps_that_repeat_do_not_hide_a_lag() -> None:
    lag = Lag()
    for i in range(100):
        lag.captured_at(i / 25, i / 25)
    for stamp in (4.0, 4.0, 3.99, 4.04):
        assert 9.0 - lag.captured_at(9.0, stamp) == pytest.approx(9.0 - stamp, abs=0.02)


@pytest.mark.parametrize("full", [False, True])
def test_the_sizes_of_a_films_images_tell_whether_the_link_is_full(full: bool) -> None:
    """H.264: every tenth image is whole, and ten times as large as the changes between."""
    load, at = Load(), 0.0
    for i in range(60):
        size = 40_000 if i % 10 == 0 else 4_000 + 300 * (i % 3)
        load.add(at, size)
        at += size / 1.9e5 if full else 0.04
    assert (load.full, load.slack) == (full, not full)


def test_stamps_that_tell_nothing_are_not_believed() -> None:
    lag = Lag()
    for i in range(50):
        assert lag.captured_at(50 + i, 3.0) == 50 + i
        assert lag.captured_at(50 + i, None) == 50 + i
    assert lag.captured_at(100.0, 5.0) == 100.0
    assert lag.captured_at(101.0, 4000.0) == 101.0
    assert lag.captured_at(102.0, 1.0) == 102.0
    assert lag.captured_at(103.0, 2.0) == 103.0


def test_what_was_gathered_while_opening_is_skipped() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    numbers = iter(range(100))

    def read() -> Grabbed:
        number = next(numbers)
        if number >= 12:
            time.sleep(0.05)
        return Grabbed(frame, float(number))

    assert skip_backlog(read, 20.0).at == 12


def test_a_capture_that_fails_meanwhile_says_so() -> None:
    def read() -> Grabbed:
        raise CaptureError("gone")

    with pytest.raises(CaptureError, match="gone"):
        skip_backlog(read, None)


def parse(*words: str) -> LiveOptions:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return live_options(parser.parse_args(words))


def test_the_options_of_the_command_line() -> None:
    assert parse() == LiveOptions()
    words = ["--give-up-after", "30", "--wait-for-source", "--open-timeout", "3", "--read-timeout", "0.5"]
    assert parse(*words) == LiveOptions(3.0, 0.5, 30.0, True)


@pytest.mark.parametrize("option", ["--give-up-after", "--open-timeout", "--read-timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_times_that_cannot_be(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"^{option} {value}: expected seconds, more than 0"):
        parse(option, value)
