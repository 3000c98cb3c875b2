from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core.errors import SourceError
from edgeseg.data.aerial import AerialFlight, AerialSource


def test_plays_the_flight_and_ends(flight: AerialFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.data.aerial.flight.AerialWorld", lambda seed: flight.world)
    with AerialSource(f"{flight.seed}?size=128x160&frames=2&fps=25") as source:
        assert (source.name, source.fps, source.live, source.size_hw) == (
            f"aerial:{flight.seed}?size=128x160&frames=2&fps=25", 25.0, False, (128, 160),
        )  # fmt: skip
        for i in range(2):
            frame = source.read()
            assert frame is not None
            np.testing.assert_array_equal(frame, flight.frame(i)[0])
        assert source.read() is None
    assert source.read() is None


def test_a_seed_alone_means_endless_512_at_25() -> None:
    source = AerialSource("7")  # builds nothing yet
    assert (source.size_hw, source.fps) == ((512, 512), 25.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "the seed '' is not a whole number"),
        ("seven", "the seed 'seven' is not a whole number"),
        ("-1", "the seed '-1' is not a whole number"),
        ("7?size=512", "the size '512' is not of the form HxW"),
        ("7?size=8x512", "the size 8x512 has a side outside 32 to 4096 pixels"),
        ("7?frames=0", "frames=0 is not a whole number of 1 or more"),
        ("7?frames=", "frames= is not a whole number of 1 or more"),
        ("7?fps=fast", "fps=fast is not a number"),
        ("7?fps=nan", "fps=nan is outside 1 to 240"),
        ("7?colour=red", "unknown option 'colour'"),
        ("7?frames", "cannot read the options 'frames'"),
    ],
)
def test_a_bad_spec_is_named(spec: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        AerialSource(spec)
    text = str(caught.value)
    assert message in text
    assert 'expected "aerial:SEED"' in text
    assert "\n" not in text
