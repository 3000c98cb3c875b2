"""The validity of the newest result as time goes by."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.runtime.health.limits import Limits
from edgeseg.runtime.health.validity import Validity
from edgeseg.runtime.result import Segmentation


def result(at: float, reason: str = "") -> Segmentation:
    return Segmentation(np.zeros((2, 2), np.uint8), captured_at=at, valid=not reason, reason=reason)


def test_a_live_result_grows_old() -> None:
    validity = Validity(live=True, max_age_s=1.0)
    validity.record(result(10.0))
    assert validity.judge(10.9) == (True, "", pytest.approx(0.9))
    assert validity.judge(11.1) == (False, "stale", pytest.approx(1.1))


def test_a_result_of_a_file_does_not() -> None:
    validity = Validity(live=False, max_age_s=1.0)
    assert validity.judge(0.0) == (False, "stale", None)
    validity.record(result(10.0))
    assert validity.judge(1e6)[:2] == (True, "")


@pytest.mark.parametrize(
    ("connected", "inferring", "reason"),
    [
        (True, True, "stale"),
        (False, True, "source-lost"),
        (True, False, "backend-failed"),
        (False, False, "source-lost"),
    ],
)
def test_the_reason_is_what_keeps_new_results_away(connected: bool, inferring: bool, reason: str) -> None:
    validity = Validity(live=True, max_age_s=1.0)
    assert validity.judge(0.0, connected, inferring) == (False, reason, None)
    validity.record(result(10.0))
    assert validity.judge(12.0, connected, inferring)[:2] == (False, reason)


def test_a_result_younger_than_the_bound_holds_though_the_source_is_gone() -> None:
    validity = Validity(live=True, max_age_s=1.0)
    validity.record(result(10.0))
    assert validity.judge(10.5, connected=False)[:2] == (True, "")


def test_an_invalid_result_holds_at_once_and_its_age_is_that_of_the_last_valid_one() -> None:
    validity = Validity(live=True, max_age_s=1.0)
    validity.record(result(10.0))
    validity.record(result(10.2, "dark"))
    assert validity.judge(10.3) == (False, "dark", pytest.approx(0.3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_age_s": 0},
        {"max_age_s": float("nan")},
        {"frozen_after_s": -1},
        {"heartbeat_hz": 0},
        {"heartbeat_hz": 1000},
        {"deadline_ms": 0},
        {"inference_timeout_s": float("inf")},
        {"restarts": -1},
    ],
    ids=str,
)
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Limits(**wrong)
