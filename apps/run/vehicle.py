"""The post-processors of a run on a vehicle: what is read from its class maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ...core.errors import UsageError
from ...core.labels import LabelMap
from ...core.source import Source
from ...embedding.camera.file import read_camera
from ...embedding.camera.model import CameraModel
from ...embedding.camera.optics import Optics
from ...embedding.free_space.finder import FreeSpaceFinder
from ...embedding.free_space.processor import FreeSpaceProcessor
from ...embedding.free_space.road import RoadOptions
from ...embedding.landing.finder import LandingFinder
from ...embedding.landing.hazards import HazardTable, read_hazards
from ...embedding.landing.options import LandingOptions
from ...embedding.landing.processor import LandingProcessor
from ...embedding.pose import Mount, PoseHistory
from ...embedding.stability.options import StabiliserOptions
from ...embedding.stability.processor import StabiliseProcessor
from ...runtime.postprocessor import PostProcessor
from .request import CameraRequest, LandingRequest, VehicleRequest

_ANY_DEGREES = 60.0
"""For what needs no field of view, such as smoothing along the flow."""


def open_postprocessors(
    request: VehicleRequest | None,
    sources: Sequence[Source],
    labels: LabelMap,
    told_within_s: float,
    poses: PoseHistory | None = None,
) -> list[list[PostProcessor]]:
    """Makes each source's post-processors.

    Args:
        request: what is asked for; None for nothing.
        sources: open.
        labels: the classes of the network.
        told_within_s: the longest time from a fault to its being told, by the run's limits.
        poses: of the vehicle, from a link; None if there is none.

    Raises:
        UsageError: a class is not one of the network's, or nothing gives the pose of the vehicle or the field of view.
        DataError: a file of the request cannot be read.
    """
    if request is None:
        return [[] for _ in sources]
    return [
        [
            *_landing(request, source, labels, poses),
            *_free_space(request, source, labels, told_within_s),
            *_stabilise(request, source, labels, poses),
        ]
        for source in sources
    ]


def _landing(
    request: VehicleRequest, source: Source, labels: LabelMap, poses: PoseHistory | None
) -> list[PostProcessor]:
    if request.landing is None:
        return []
    if poses is None and not source.knows_pose:
        raise UsageError(
            f"--land needs the vehicle's attitude and height, and {source.name} does not give them; play a source"
            " that does, such as aerial:7, or give the autopilot's --mavlink"
        )
    _check_field_of_view("--land", request.camera, source)
    optics, mount = optics_of(request.camera, source), mount_of(request.camera)
    return [LandingProcessor(_finder(request.landing, labels, mount), optics, poses)]


def _free_space(
    request: VehicleRequest, source: Source, labels: LabelMap, told_within_s: float
) -> list[PostProcessor]:
    asked, camera = request.free_space, request.camera
    if asked is None:
        return []
    _check_field_of_view("--free-space", camera, source)
    options = RoadOptions(
        asked.height_m,
        pitch_error_deg=asked.pitch_error_deg,
        range_m=asked.range_m,
        bonnet=asked.bonnet,
        width_m=asked.width_m,
        told_within_s=told_within_s,
    )
    optics, mount = optics_of(camera, source), mount_of(camera)
    return [FreeSpaceProcessor(FreeSpaceFinder(labels, asked.drivable, optics, mount, options))]


def _stabilise(
    request: VehicleRequest, source: Source, labels: LabelMap, poses: PoseHistory | None
) -> list[PostProcessor]:
    asked, camera = request.stabilise, request.camera
    if asked is None:
        return []
    if asked.method == "pose" and poses is None and not source.knows_pose:
        raise UsageError(
            f"--stabilise pose needs the vehicle's attitude, height and position, and {source.name} does not give them;"
            " use --stabilise flow"
        )
    if asked.method == "pose":
        _check_field_of_view("--stabilise pose", camera, source)
    # The frames of a film come when there is time for them; those of a camera are far apart if some were dropped.
    longest_gap_s = StabiliserOptions.longest_gap_s if source.live else math.inf
    options = StabiliserOptions(asked.method, asked.hazards, longest_gap_s=longest_gap_s)
    optics, mount = optics_of(camera, source), mount_of(camera)
    return [StabiliseProcessor(labels, options, optics, mount, poses)]


def _check_field_of_view(option: str, camera: CameraRequest, source: Source) -> None:
    if camera.calibration is None and not (camera.horizontal_degrees or source.horizontal_fov_deg):
        raise UsageError(
            f"{option} needs the camera, and {source.name} does not know its field of view; give --camera with a"
            " calibration or the horizontal field of view in degrees"
        )


def optics_of(request: CameraRequest, source: Source) -> Optics:
    """Returns the camera as it was given, else as the source knows it.

    Raises:
        DataError: the calibration cannot be read.
    """
    if request.calibration is not None:
        return Optics(read_camera(request.calibration))
    return Optics(horizontal_degrees=request.horizontal_degrees or source.horizontal_fov_deg or _ANY_DEGREES)


def known_optics(request: VehicleRequest | None, source: Source) -> Optics | None:
    """Returns the camera as it was given, or as the source knows it; None if neither says anything.

    Raises:
        DataError: the calibration cannot be read.
    """
    camera = CameraRequest() if request is None else request.camera
    given = camera.calibration is not None or camera.horizontal_degrees is not None
    return optics_of(camera, source) if given or source.horizontal_fov_deg is not None else None


def scan_frame_of(request: VehicleRequest | None) -> str:
    """Returns the name of ROS's coordinate frame below the camera: the vehicle's own if the camera is above it."""
    forward, right, _ = (0.0, 0.0, 0.0) if request is None else request.camera.offset_frd_m
    return "camera_ground" if forward or right else "base_link"


def mount_of(request: CameraRequest) -> Mount:
    """Returns the place of the camera on the vehicle."""
    return Mount.tilted(request.tilt_down_deg, request.offset_frd_m)


def _finder(
    request: LandingRequest, labels: LabelMap, mount: Mount
) -> Callable[[CameraModel], LandingFinder]:
    if request.table is not None:
        hazards = read_hazards(request.table, labels)
    else:
        hazards = HazardTable.landing_on(labels, request.safe, default_m=request.margin_m)
    options = LandingOptions(radius_m=request.radius_m, position_error_m=request.position_error_m)
    options = replace(options, map=replace(options.map_options, memory_s=request.memory_s))
    return partial(_make_finder, labels, hazards, mount, options)


def _make_finder(
    labels: LabelMap, hazards: HazardTable, mount: Mount, options: LandingOptions, camera: CameraModel
) -> LandingFinder:
    return LandingFinder(labels, hazards, camera, mount, options)
