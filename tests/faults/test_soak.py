"""A short soak: faults at random over a real run, each moment judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from .live_run import Pace
from .live_soak import read_out, soak, table

pytest.importorskip("uvicorn")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_soak_of_twenty_seconds(tiny_bundle: Path, tmp_path: Path) -> None:
    pace = Pace(max_age_s=1.0, heartbeat_hz=5.0, slack_s=5.0)
    done = soak(tiny_bundle, tmp_path, 20.0, 5, pace)
    assert done.judgement.wrong == []
    assert done.problems == []
    assert done.judgement.seconds >= 20
    assert len(done.happenings) >= 3
    assert done.happenings[-1].what.name == "disk full"
    assert done.images > 0
    assert done.memory[:, 1].min() > 10
    print("\n".join([*read_out(done, pace), table(done).plain()]))
