from __future__ import annotations

import pytest
from edgeseg.data.aerial import AerialFlight, AerialWorld

SEED = 3


@pytest.fixture(scope="session")
def world() -> AerialWorld:
    """One place for all tests: building takes seconds."""
    return AerialWorld(SEED)


@pytest.fixture(scope="session")
def flight(world: AerialWorld) -> AerialFlight:
    flight = AerialFlight(SEED, (128, 160))
    flight.world = world
    return flight
