"""Every fault of the catalogue, one test each: injected into a real run, with its outcome checked by the catalogue."""

from __future__ import annotations

import pytest

from .bench import Bench
from .outcome import Fault, NotHereError, Outcome, catalogue

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(each, id=each.name.replace(" ", "-"), marks=[pytest.mark.slow] if each.slow else [])
        for each in catalogue()
    ],
)
def test_a_run_under_a_fault(fault: Fault, bench: Bench) -> None:
    try:
        outcome = fault.run(bench)
    except NotHereError as absent:
        pytest.skip(str(absent))
    assert isinstance(outcome, Outcome)
    assert outcome.observed
    print(f"{fault.name}: {outcome}")
