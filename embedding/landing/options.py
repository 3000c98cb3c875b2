"""The options of landing: the vehicle, the errors of its sensors, and the patience of the choice."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError
from .hazard_map import MapOptions


@dataclass(frozen=True)
class LandingOptions:
    """The vehicle, the errors of its sensors, and the patience of the choice.

    Attributes:
        radius_m: of the vehicle with its propellers.
        position_error_m: how far it may touch down from where it aims.
        height_error: share of the height by which the height may be wrong.
        attitude_error_deg: by which the attitude may be wrong.
        smallest_hazard_m: extent of the smallest hazard that has to be seen.
        hazard_px: pixels that the network needs to see a hazard.
        settle_s: seconds for which a spot has to hold before it is given.
        better: a spot is left for another one only if it is lost, or if the other has so many times its clearance
            while its own is below ``ample`` times what is required. Once the footprint fills the view it is left only
            if it is lost.
        ample: see ``better``.
        shift_m: a spot that is no longer clear moves to the nearest place that is, without having to hold anew, if
            that is within this distance of where it was chosen.
        distance_weight: metres of clearance that a metre of way to a spot is worth.
        map: grid and memory; None for cells that suit the radius.
    """

    radius_m: float = 1.0
    position_error_m: float = 0.3
    height_error: float = 0.03
    attitude_error_deg: float = 1.0
    smallest_hazard_m: float = 0.5
    hazard_px: float = 4.0
    settle_s: float = 0.5
    better: float = 1.3
    ample: float = 1.2
    shift_m: float = 0.5
    distance_weight: float = 0.15
    map: MapOptions | None = None

    def __post_init__(self) -> None:
        bounds = {
            "radius_m": (0.05, 50), "position_error_m": (0, 50), "height_error": (0, 0.5),
            "attitude_error_deg": (0, 20), "smallest_hazard_m": (0.01, 50), "hazard_px": (1, 1000),
            "settle_s": (0, 60), "better": (1, 100), "ample": (1, 100), "shift_m": (0, 10), "distance_weight": (0, 10),
        }  # fmt: skip
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"landing: {name} is {getattr(self, name)}; expected {least} to {most}")

    @property
    def map_options(self) -> MapOptions:
        """The options of the hazard map. A footprint is at least 48 of the smallest cells across."""
        return self.map or MapOptions(cell_m=min(0.0625, max(0.02, self.radius_m / 24)))
