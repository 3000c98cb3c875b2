"""One flight of the closed loop, from the search for a spot to the ground or to where it was given up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ....core.arrays import ClassMap, Frame
from ....data.aerial.camera import Pose
from ....data.aerial.canvas import MAP_PX, PX_PER_M
from ....data.aerial.intruders import Intruder, IntruderKind
from ....embedding.landing.options import LandingOptions
from ....embedding.landing.spot import LandingSpot
from ....embedding.mavlink.landing_target import Autopilot as AutopilotName
from ....runtime.health.limits import Limits
from ..stage import AerialStage, Eyes, map_xy
from ..world import FIRST_SEED
from .ardupilot import ArduPilot, ArduPilotParameters
from .autopilot import HOLDS, AutopilotStandIn
from .companion import Companion, CompanionOptions, Distort
from .faults import (
    DEAD_NETWORK,
    FROZEN_CAMERA,
    INTRUDER,
    LATE_FRAMES,
    LOST_ATTITUDE,
    NONE,
    WRONG_HEIGHT,
    Fault,
    FaultClock,
)
from .judge import DescentJudge, unsafe_below
from .px4 import Px4, Px4Parameters
from .vehicle import RESTS_AT_M, STEP_S, Command, StandInVehicle, State, Wind

SAFE, UNSAFE, ABORTED = "safe", "unsafe", "aborted"

FLIGHTS_PER_PLACE = 5

_HEIGHTS_M = (10.0, 30.0)
_SEARCH_MS, _SEARCHES_S, _WAITS_S, _LONGEST_S = 2.0, 60.0, 20.0, 240.0
_LATENCY_S = (0.06, 0.12)
_MOST_WIND_MS, _MOST_TURN = 6.0, math.radians(4)
_ATTITUDE_BIAS, _HEIGHT_BIAS, _DRIFT_M, _DRIFT_S = math.radians(0.3), 0.01, 0.1, 10.0
_CLOCK_OFFSET_S = 1234.5
_MEMORY_S, _MOST_CELLS = 6.0, 240
_WALKS_MS, _WALKS_FROM_M, _STANDS_S = (
    {"person": (0.8, 1.8), "car": (2.0, 6.0)},
    {"person": 8.0, "car": 16.0},
    4.0,
)


def _landing() -> LandingOptions:
    """Returns options for gusts, and with a memory until the ground: at last the footprint fills the view."""
    options = LandingOptions(position_error_m=0.5)
    return replace(options, map=replace(options.map_options, memory_s=_MEMORY_S, most_cells=_MOST_CELLS))


@dataclass(frozen=True)
class LoopPlan:
    """The options that all flights of a measurement share.

    Attributes:
        fps: frames a second.
        size_hw: height and width of the frames.
        landing: options of the landing finder.
        margin_m: the margin of every hazard that is neither a person nor a car.
        ardupilot, px4: the parameters of the autopilots.
        limits: when a result is valid.
        distort: changes each message; None for none.
    """

    fps: float = 5.0
    size_hw: tuple[int, int] = (256, 256)
    landing: LandingOptions = field(default_factory=_landing)
    margin_m: float = 0.5
    ardupilot: ArduPilotParameters = field(default_factory=ArduPilotParameters)
    px4: Px4Parameters = field(default_factory=Px4Parameters)
    limits: Limits = field(default_factory=Limits)
    distort: Distort | None = None


@dataclass(frozen=True)
class FlightOutcome:
    """The end of a flight.

    Attributes:
        number: of the flight.
        autopilot: ``ardupilot`` or ``px4``.
        fault: its kind, or ``none``.
        end: ``safe``, ``unsafe`` or ``aborted``.
        why: the unsafe classes below the footprint, or why it was aborted; empty if safe.
        flown_s: seconds of flight.
        landing_s: seconds from the beginning of the landing to the ground.
        miss_m: from where it touched down to the spot that it was told last; NaN if it did not.
        blind_m: metres that it descended without a valid spot for longer than the autopilot's time-out.
        switches: spots that were left.
    """

    number: int
    autopilot: str
    fault: str
    end: str
    why: str
    flown_s: float
    landing_s: float
    miss_m: float
    blind_m: float
    switches: int


@dataclass(frozen=True)
class Moment:
    """A moment of a flight, when a frame was captured: for a video.

    Attributes:
        state: of the vehicle.
        frame_bgr, truth: what the camera saw.
        spot: the newest finding; None before the first.
        landing: True once the landing has begun.
        doing: of the autopilot.
        fault: True while the fault is there.
    """

    state: State
    frame_bgr: Frame
    truth: ClassMap
    spot: LandingSpot | None
    landing: bool
    doing: str
    fault: bool


class LoopFlight:
    """A flight: the world, the vehicle, its autopilot, and edgeseg on board.

    Args:
        number: of the flight; it draws all else.
        plan: of the measurement.
        eyes: the network, or the truth.
        fault: the kind of fault, whose details the number draws; or all of it.
        autopilot: which one flies.
    """

    def __init__(
        self,
        number: int,
        plan: LoopPlan,
        eyes: Eyes,
        fault: str | Fault = NONE,
        autopilot: AutopilotName = "ardupilot",
    ) -> None:
        self.number, self.plan = number, plan
        self._rng = rng = np.random.default_rng([FIRST_SEED, 7, number])
        seed = FIRST_SEED + 200_000 + number // FLIGHTS_PER_PLACE
        self.stage = AerialStage(seed, plan.size_hw, float(rng.uniform(0, 600)))
        side_m = MAP_PX / PX_PER_M
        start = State(
            at=0.0,
            north_m=float(rng.uniform(0, side_m)),
            east_m=float(rng.uniform(0, side_m)),
            height_m=float(np.exp(rng.uniform(*np.log(_HEIGHTS_M)))),
            yaw=float(rng.uniform(0, 2 * math.pi)),
        )
        self._course = float(rng.uniform(0, 2 * math.pi))
        self.vehicle = StandInVehicle(start, Wind(rng, _MOST_WIND_MS), float(rng.uniform(-1, 1)) * _MOST_TURN)
        self._bias = float(rng.normal(0, _ATTITUDE_BIAS)), float(rng.normal(0, _ATTITUDE_BIAS))
        self._height_factor = float(rng.normal(1, _HEIGHT_BIAS))
        self._drift = np.zeros(2)
        self._faults = FaultClock(fault if isinstance(fault, Fault) else Fault.draw(rng, fault))
        self.autopilot = _autopilot(autopilot, plan, start.height_m)
        options = CompanionOptions(
            autopilot,
            plan.landing,
            plan.margin_m,
            plan.size_hw,
            plan.limits,
            plan.distort,
        )
        self.companion = Companion(options, eyes)
        self._judge = DescentJudge(self.autopilot.timeout_s, self.autopilot.committed_m)
        self._began_at: float | None = None
        self._held_since: float | None = None
        self._frozen: tuple[Frame, ClassMap] | None = None

    def fly(self, watch: Callable[[Moment], None] = lambda moment: None) -> FlightOutcome:
        """Flies to the end, and returns how it ended.

        Args:
            watch: called for each frame.
        """
        steps_a_frame = max(1, round(1 / self.plan.fps / STEP_S))
        told_m: tuple[float, float] | None = None
        step = 0
        while True:
            state = self.vehicle.state
            known = self._known(state)
            landing = self._began_at is not None
            self._faults.step(state.at, landing, state.height_m)
            self._tell(known)
            if step % steps_a_frame == 0:
                self._capture(state, watch)
            for message in self.companion.step(state.at):
                self.autopilot.receive(message, known)
            self.autopilot.step(known)
            spot = self.companion.spot
            if spot is not None and spot.valid:
                told_m = spot.ground_m
            if landing:
                valid = self.companion.is_valid(state.at)
                self._judge.step(state.at, valid, state.height_m, state.climb_ms, STEP_S)
                if state.height_m <= RESTS_AT_M:
                    return self._touched_down(state, known, told_m)
            if why := self._given_up(state):
                return self._outcome(ABORTED, why, math.nan)
            self._walk_in(state, told_m)
            self.vehicle.step(self._command(known))
            step += 1

    def _known(self, state: State) -> State:
        """Returns what the autopilot knows of the vehicle: the truth with small errors."""
        keep = STEP_S / _DRIFT_S
        self._drift += -keep * self._drift + _DRIFT_M * math.sqrt(2 * keep) * self._rng.standard_normal(2)
        return replace(
            state,
            north_m=state.north_m + float(self._drift[0]),
            east_m=state.east_m + float(self._drift[1]),
            height_m=state.height_m * self._height_factor,
            roll=state.roll + self._bias[0],
            pitch=state.pitch + self._bias[1],
        )

    def _tell(self, known: State) -> None:
        """Sends the autopilot's data to edgeseg."""
        if not self._faults.acts(LOST_ATTITUDE, known.at):
            self.companion.take_attitude(known)
        fault = self._faults.fault
        self.companion.take_place(known, fault.amount if fault.kind == WRONG_HEIGHT else 1.0)

    def _capture(self, state: State, watch: Callable[[Moment], None]) -> None:
        """Takes a frame, unless the vehicle stands."""
        if state.height_m < RESTS_AT_M:
            return
        at = state.at
        x, y = map_xy(state.north_m, state.east_m)
        # The world's roll is positive with the right side up.
        pose = Pose(x, y, state.height_m, state.yaw, state.pitch, -state.roll)
        frame, truth = self.stage.view(pose, at)
        watch(self._moment(state, frame, truth))
        if self._faults.acts(FROZEN_CAMERA, at):
            frame, truth = self._frozen or (frame, truth)
        self._frozen = frame, truth
        if self._faults.acts(DEAD_NETWORK, at):
            return
        late = self._faults.fault.amount if self._faults.acts(LATE_FRAMES, at) else 0.0
        self.companion.take_frame(frame, truth, at, at + float(self._rng.uniform(*_LATENCY_S)) + late)

    def _moment(self, state: State, frame_bgr: Frame, truth: ClassMap) -> Moment:
        acts = self._faults.acts(self._faults.fault.kind, state.at)
        landing = self._began_at is not None
        return Moment(state, frame_bgr, truth, self.companion.spot, landing, self.autopilot.doing, acts)

    def _command(self, known: State) -> Command:
        """Returns what is flown: a straight course until there is a target, and then what the autopilot wants."""
        if self._began_at is None:
            if not self.autopilot.sees_target:
                return Command(_SEARCH_MS * math.cos(self._course), _SEARCH_MS * math.sin(self._course), 0.0)
            self._began_at = known.at
            self.autopilot.begin(known)
        return self.autopilot.command(known)

    def _given_up(self, state: State) -> str:
        """Returns why the mission is aborted; empty if it goes on."""
        if self._began_at is None:
            return "no spot" if state.at > _SEARCHES_S else ""
        if self.autopilot.fell_back:
            # No parameter of PX4 forbids it, so whoever watches the flight has to.
            return "the autopilot fell back"
        if self.autopilot.doing != HOLDS:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = state.at
        if self._held_since is not None and state.at - self._held_since > _WAITS_S:
            return "no spot any more"
        return "takes too long" if state.at > _LONGEST_S else ""

    def _walk_in(self, state: State, told_m: tuple[float, float] | None) -> None:
        """Lets an intruder set out for the spot, once, if that is the flight's event."""
        faults = self._faults
        if faults.fault.kind != INTRUDER or faults.began_at is None or self.stage.intruders or told_m is None:
            return
        kind: IntruderKind = "person" if self._rng.random() < 0.5 else "car"
        goal = np.array(map_xy(*told_m))
        course = self._rng.uniform(0, 2 * math.pi)
        away = np.array([math.cos(course), math.sin(course)]) * _WALKS_FROM_M[kind] * PX_PER_M
        walks_s = _WALKS_FROM_M[kind] / self._rng.uniform(*_WALKS_MS[kind])
        times = self.stage.start_s + state.at + np.cumsum([0.0, walks_s, _STANDS_S, walks_s])
        way = np.array([goal + away, goal, goal, goal - away])
        self.stage.intruders.append(Intruder(kind, times, way, int(self._rng.integers(1000))))

    def _touched_down(self, state: State, known: State, told_m: tuple[float, float] | None) -> FlightOutcome:
        unsafe = unsafe_below(
            self.stage.world, self.stage.start_s + state.at, (state.north_m, state.east_m),
            self.plan.landing.radius_m, self.stage.intruders,
        )  # fmt: skip
        miss = math.nan if told_m is None else math.dist(told_m, (known.north_m, known.east_m))
        return self._outcome(UNSAFE if unsafe else SAFE, ", ".join(unsafe), miss)

    def _outcome(self, end: str, why: str, miss_m: float) -> FlightOutcome:
        at = self.vehicle.state.at
        landing_s = math.nan if self._began_at is None or end == ABORTED else at - self._began_at
        spot = self.companion.spot
        return FlightOutcome(
            self.number, self.autopilot.name, self._faults.fault.kind, end, why, at, landing_s, miss_m,
            self._judge.blind_m, 0 if spot is None else spot.switches,
        )  # fmt: skip


def _autopilot(name: AutopilotName, plan: LoopPlan, start_m: float) -> AutopilotStandIn:
    if name == "ardupilot":
        return ArduPilot(plan.ardupilot)
    # PX4 goes to PLD_SRCH_ALT to search, also downwards: it is set to the height at which the landing begins.
    return Px4(replace(plan.px4, srch_alt_m=max(plan.px4.srch_alt_m, start_m)), _CLOCK_OFFSET_S)
