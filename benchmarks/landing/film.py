"""A film of one landing: the overlay of what the network sees, and the flight from above beside it.

``python -m edgeseg.benchmarks.landing.film --bundle DIR --out FILE.mp4`` flies the stand-in vehicle of the closed loop
in the aerial world. Someone walks into its spot on the way.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...core.arrays import Frame, Points
from ...core.errors import EdgesegError
from ...core.outputs import check_new, write_atomically
from ...data.aerial.camera import Pose
from ...data.aerial.labels import AERIAL_LABELS
from ...data.aerial.render import render
from ...embedding.landing.spot import MEANING
from ...runtime.overlay import Overlay
from ...runtime.painter import Painter
from ...runtime.result import Segmentation
from ...runtime.segmenter import Segmenter
from ...runtime.sinks.base import Output
from ...runtime.sinks.video import VideoSink
from .loop.autopilot import HOLDS
from .loop.faults import INTRUDER, Fault
from .loop.flight import SAFE, FlightOutcome, LoopFlight, LoopPlan, Moment
from .loop.report import loop_json
from .stage import map_xy
from .world import camera_of

SIDE_PX = 512
_FPS = 5.0
_FASTER = 2.0
_STANDS_S = 2.0
_FLIGHT = 2
_WALKS_IN_BELOW_M = 11.0
_FOCAL_OVER_WIDTH = 0.95
_VIEW_M = (14.0, 44.0)
_GREEN, _ORANGE, _WHITE, _DARK, _BLUE = (
    (90, 230, 90),
    (60, 165, 255),
    (255, 255, 255),
    (20, 20, 20),
    (250, 190, 60),
)
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * math.pi, 48)), np.sin(np.linspace(0, 2 * math.pi, 48))], -1)


class _Bird:
    """A camera straight above, north up, that frames the vehicle and its spot."""

    def __init__(self, flight: LoopFlight, radius_m: float) -> None:
        self._flight, self._radius_m = flight, radius_m
        self._trail: list[tuple[float, float]] = []
        self._middle: Points | None = None
        self._view_m = _VIEW_M[1]

    def draw(self, moment: Moment) -> Frame:
        """Returns the view of a moment, uint8 [SIDE_PX, SIDE_PX, 3]."""
        state, spot = moment.state, moment.spot
        here = np.array([state.north_m, state.east_m])
        self._trail.append((state.north_m, state.east_m))
        goal = here if spot is None or not math.isfinite(spot.ground_m[0]) else (here + spot.ground_m) / 2
        self._middle = goal if self._middle is None else 0.9 * self._middle + 0.1 * goal
        wanted = min(_VIEW_M[1], max(_VIEW_M[0], 1.6 * state.height_m))
        self._view_m += 0.1 * (wanted - self._view_m)
        x, y = map_xy(*self._middle)
        above = Pose(x, y, self._view_m * _FOCAL_OVER_WIDTH, 0.0, 0.0, 0.0)
        stage = self._flight.stage
        canvas, _ = render(stage.world, above, stage.start_s + state.at, (SIDE_PX, SIDE_PX), stage.intruders)
        self._lines(canvas, np.array(self._trail), _WHITE, 1)
        self._lines(canvas, self._footprint_of_view(moment), _BLUE, 1, closed=True)
        if spot is not None and math.isfinite(spot.ground_m[0]):
            ring = np.array(spot.ground_m) + spot.required_m * _CIRCLE
            self._lines(canvas, ring, _GREEN if spot.valid else _ORANGE, 2, closed=True)
        self._vehicle(canvas, here, state.yaw)
        return canvas

    def _pixels(self, ground_m: Points) -> Points:
        assert self._middle is not None
        away = (np.asarray(ground_m) - self._middle) * (SIDE_PX / self._view_m)
        return np.asarray(np.stack([away[:, 1], -away[:, 0]], -1) + (SIDE_PX - 1) / 2)

    def _lines(
        self, canvas: Frame, ground_m: Points, colour: tuple[int, int, int], width: int, closed: bool = False
    ) -> None:
        points = [np.round(self._pixels(ground_m).clip(-4000, 4000)).astype(np.int32)]
        cv2.polylines(canvas, points, closed, _DARK, width + 2, cv2.LINE_AA)
        cv2.polylines(canvas, points, closed, colour, width, cv2.LINE_AA)

    def _footprint_of_view(self, moment: Moment) -> Points:
        """Returns the corners of what the vehicle's camera sees, metres north and east."""
        camera, state = camera_of(moment.truth.shape), moment.state
        height, width = moment.truth.shape
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5
        right, back = ((corners - (camera.cx, camera.cy)) / (camera.fx, camera.fy)).T
        rays = np.stack([-back, right, np.ones(4)], -1) @ state.world_from_body.T
        return np.asarray(state.height_m * rays[:, :2] / rays[:, 2:] + (state.north_m, state.east_m))

    def _vehicle(self, canvas: Frame, here: Points, yaw: float) -> None:
        """Draws a cross of arms as long as the vehicle is wide, with a dot at its nose."""
        for turn in (math.pi / 4, -math.pi / 4):
            arm = self._radius_m * np.array([math.cos(yaw + turn), math.sin(yaw + turn)])
            self._lines(canvas, np.stack([here - arm, here + arm]), _WHITE, 3)
        nose = self._pixels((here + self._radius_m * np.array([math.cos(yaw), math.sin(yaw)]))[None])[0]
        cv2.circle(canvas, tuple(np.round(nose).astype(int).tolist()), 4, _WHITE, cv2.FILLED, cv2.LINE_AA)


class FilmedLanding(NamedTuple):
    """The outcome of a filmed flight.

    Attributes:
        outcome: of the flight.
        frames: of the film.
        waited_s: seconds for which the autopilot waited for a spot during the landing.
    """

    outcome: FlightOutcome
    frames: int
    waited_s: float


def film(path: Path, segmenter: Segmenter, number: int, force: bool = False) -> FilmedLanding:
    """Flies a landing on what a network sees, and writes it as a video.

    Args:
        path: of the video.
        segmenter: a network of the aerial world.
        number: of the flight.
        force: replace the file if it exists.
    """
    plan = LoopPlan(fps=_FPS, size_hw=(SIDE_PX, SIDE_PX), margin_m=1.5)
    flight = LoopFlight(
        number, plan, lambda frame, truth: segmenter(frame).classes, Fault(INTRUDER, _WALKS_IN_BELOW_M)
    )
    bird, overlay = _Bird(flight, plan.landing.radius_m), Overlay(AERIAL_LABELS)
    sink, count, waited = VideoSink(path, _FPS * _FASTER, force=force), 0, 0
    last: tuple[Frame, Moment, Segmentation] | None = None

    def show(canvas: Frame, result: Segmentation) -> None:
        nonlocal count
        sink.write(Output(canvas, result, "", lambda: canvas))
        count += 1

    def watch(moment: Moment) -> None:
        nonlocal last, waited
        if flight.companion.newest is None:
            return
        frame, result = flight.companion.newest
        waited += moment.landing and moment.doing == HOLDS
        seen = overlay.draw(
            frame, result, np.zeros(len(AERIAL_LABELS))
        )  # no legend, which would hide the captions
        last = seen, moment, result
        show(np.hstack([seen, _titled(bird.draw(moment), _texts(moment))]), result)

    committed = False
    try:
        outcome = flight.fly(watch)
        if last is not None:
            seen, moment, result = last
            ended = np.hstack([seen, _titled(bird.draw(moment), [_end(outcome)])])
            for _ in range(round(_STANDS_S * _FPS * _FASTER)):
                show(ended, result)
        committed = True
    finally:
        sink.close(committed)
    return FilmedLanding(outcome, count, waited / _FPS)


def _titled(canvas: Frame, texts: Sequence[str]) -> Frame:
    Painter(canvas).badge(texts)
    return canvas


def _texts(moment: Moment) -> list[str]:
    doing = moment.doing if moment.landing else "looks for a spot"
    texts = [f"{moment.state.height_m:.1f} m high, {doing}"]
    spot = moment.spot
    if spot is not None and not spot.valid:
        texts.append(MEANING.get(spot.reason, spot.reason).split(",")[0])
    return texts


def _end(outcome: FlightOutcome) -> str:
    if outcome.end == SAFE:
        return f"landed safely, {outcome.miss_m:.1f} m from the spot"
    return f"{outcome.end}: {outcome.why}"


def words_of(shown: FilmedLanding) -> str:
    """Returns the line of figures."""
    outcome = shown.outcome
    if outcome.end == SAFE:
        return (
            f"landed safely in {outcome.landing_s:.0f} s, {outcome.miss_m:.2f} m from the spot; waited "
            f"{shown.waited_s:.0f} s for a spot, {outcome.switches} spots left"
        )
    return f"{outcome.end} after {outcome.flown_s:.0f} s: {outcome.why}"


def main(argv: Sequence[str] | None = None) -> int:
    """Makes a film and returns the exit status."""
    prog = "python -m edgeseg.benchmarks.landing.film"
    parser = argparse.ArgumentParser(
        prog=prog, description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument(
        "--bundle", type=Path, required=True, metavar="DIR", help="a bundle of an aerial network"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the video, .mp4")
    parser.add_argument("--stats", type=Path, metavar="FILE", help="write how the flight ended, as JSON")
    parser.add_argument(
        "--flight", type=int, default=_FLIGHT, metavar="N", help="number of the flight; default: %(default)s"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")
    args = parser.parse_args(argv)
    try:
        for path in (args.out, *([] if args.stats is None else [args.stats])):
            check_new(path, args.force)
        with Segmenter(args.bundle) as segmenter:
            shown = film(args.out, segmenter, args.flight, args.force)
        facts = {**loop_json([shown.outcome])[0], "words": words_of(shown), "waited_s": shown.waited_s}
        if args.stats is not None:
            write_atomically(args.stats, json.dumps(facts).encode(), args.force)
    except EdgesegError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return error.exit_status
    print(words_of(shown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
