"""The request for a run: the checked options of the command line, without their text form."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...embedding.mavlink.address import LinkAddress
from ...embedding.mavlink.landing_target import Autopilot
from ...embedding.stability.options import Method
from ...runtime.health.limits import Limits
from ...runtime.sources.live import LiveOptions
from ..preview.options import PreviewOptions
from ..tiling.request import TileRequest

DEFAULT_BUNDLE = Path("bundle/lraspp")
PNG, NPZ = "png", "npz"
ROS_NAMESPACE = "edgeseg"


@dataclass(frozen=True)
class NetworkRequest:
    """The network and the hardware that runs it.

    Attributes:
        bundle: the folder.
        variant: of the bundle; None for the bundle's own choice.
        backend: a name, or ``auto``.
        device: of the backend; None for the backend's own choice.
        threads: of the CPU, for inference; None for the fastest number by measurement.
        batch: the most frames that are inferred at once; None for the fastest number by measurement.
        degrade: the steps while deadlines are missed: variants' names, and shares of the frames.
    """

    bundle: Path = DEFAULT_BUNDLE
    variant: str | None = None
    backend: str = "onnxruntime"
    device: str | None = None
    threads: int | None = None
    batch: int | None = None
    degrade: tuple[str | float, ...] = ()


@dataclass(frozen=True)
class MavlinkRequest:
    """The link to an autopilot.

    Attributes:
        address: where it is.
        autopilot: its kind.
        system: the vehicle's system id; None for that of the first autopilot that is heard.
        key: the file of the key to sign with; None to sign nothing.
    """

    address: LinkAddress
    autopilot: Autopilot = "ardupilot"
    system: int | None = None
    key: Path | None = None


@dataclass(frozen=True)
class SinkOptions:
    """The options of sinks other than a window.

    Attributes:
        segment_seconds: length of each file of a video; None for one file.
        save_limit_bytes: of a video's segments together; None for no limit.
        masks_format: ``png`` or ``npz``.
        events: targets.
        shm: name of shared memory.
        shm_frames: whether shared memory has frames too.
        record: folder of a recording.
        record_limit_bytes: of the recording; None for no limit.
        mavlink: the link to an autopilot; None for none.
        ros2: namespace of the topics of ROS 2; None for none.
        ros_args: the arguments of ROS: remappings, parameters and their files.
    """

    segment_seconds: float | None = None
    save_limit_bytes: int | None = None
    masks_format: str = PNG
    events: tuple[str, ...] = ()
    shm: str | None = None
    shm_frames: bool = False
    record: Path | None = None
    record_limit_bytes: int | None = None
    ros2: str | None = None
    ros_args: tuple[str, ...] = ()
    mavlink: MavlinkRequest | None = None

    @property
    def any_asked(self) -> bool:
        """True if these options alone give results an output."""
        return bool(self.events or self.shm or self.record or self.ros2 or self.mavlink)

    @property
    def event_files(self) -> list[Path]:
        """The targets of events that are files."""
        return [Path(target) for target in self.events if target != "-" and not target.startswith("udp:")]

    @property
    def take_standard_output(self) -> bool:
        """True if events go to standard output, which then nothing else may use."""
        return "-" in self.events


@dataclass(frozen=True)
class CameraRequest:
    """The camera and its place on the vehicle.

    Attributes:
        calibration: a file; None if there is none.
        horizontal_degrees: its field of view, if there is no calibration; None for what the source knows.
        tilt_down_deg: 0 looks at the horizon ahead, 90 straight down.
        offset_frd_m: metres forward, right, down of the vehicle's reference.
    """

    calibration: Path | None = None
    horizontal_degrees: float | None = None
    tilt_down_deg: float = 90.0
    offset_frd_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LandingRequest:
    """The search for a landing spot.

    Attributes:
        safe: names of the classes to land on, if there is no table.
        table: a hazard table; None if there is none.
        margin_m: the distance to keep from all classes that are not safe, if there is no table.
        radius_m: of the vehicle.
        position_error_m: how far from its aim it may touch down.
        memory_s: seconds for which ground that has left the view is remembered.
    """

    safe: tuple[str, ...] = ()
    table: Path | None = None
    margin_m: float = 1.5
    radius_m: float = 1.0
    position_error_m: float = 0.3
    memory_s: float = 3.0


@dataclass(frozen=True)
class FreeSpaceRequest:
    """The free space of a road vehicle.

    Attributes:
        drivable: names of the classes that may be driven on.
        height_m: of the camera above the road.
        range_m: the distance beyond which everything is unknown.
        pitch_error_deg: by which the camera's pitch may be wrong.
        bonnet: share of the frame's height, at its lower edge, that shows the vehicle itself.
        width_m: of the vehicle.
    """

    drivable: tuple[str, ...]
    height_m: float
    range_m: float = 20.0
    pitch_error_deg: float = 0.5
    bonnet: float = 0.0
    width_m: float = 2.0


@dataclass(frozen=True)
class StabiliseRequest:
    """The smoothing of class maps over time.

    Attributes:
        method: what gives the motion, ``flow`` or ``pose``.
        hazards: names of the classes that enter at once and leave slowly.
    """

    method: Method = "flow"
    hazards: tuple[str, ...] = ()


@dataclass(frozen=True)
class VehicleRequest:
    """The options of what a vehicle reads from its class maps.

    Attributes:
        camera: the camera.
        landing: the search for a landing spot; None for none.
        free_space: the free space of a road vehicle; None for none.
        stabilise: the smoothing of class maps; None for none.
    """

    camera: CameraRequest = field(default_factory=CameraRequest)
    landing: LandingRequest | None = None
    free_space: FreeSpaceRequest | None = None
    stabilise: StabiliseRequest | None = None

    @property
    def files(self) -> list[tuple[str, Path | None]]:
        """The files that it names, each with its description."""
        table = None if self.landing is None else self.landing.table
        return [("the camera's calibration", self.camera.calibration), ("the hazard table", table)]


@dataclass(frozen=True)
class RunRequest:
    """The request for one run.

    Attributes:
        network: the network and its hardware.
        sources: in the form for :func:`edgeseg.open_source`; empty for the first camera, else the aerial world.
        frames: number of each source's frames, after which the run ends; None for all.
        live: the timeouts of cameras and servers.
        limits: on results, heartbeats and deadlines.
        save: a video.
        masks: a folder of class maps.
        show: a window.
        stats: a file for the measurements.
        trace: a file for the times of each stage and frame.
        force: whether outputs may replace others.
        sinks: the other sinks.
        preview: the page; None for none.
        vehicle: what a vehicle reads from the class maps; None for nothing.
        tile: one large image, tile by tile, in place of a stream; None for a stream.
        reads: the files that the options themselves were read from, each with its description.
        log_json: whether all messages are JSON log records.
    """

    network: NetworkRequest = field(default_factory=NetworkRequest)
    sources: tuple[str, ...] = ()
    frames: int | None = None
    live: LiveOptions = field(default_factory=LiveOptions)
    limits: Limits = field(default_factory=Limits)
    save: Path | None = None
    masks: Path | None = None
    show: bool = False
    stats: Path | None = None
    trace: Path | None = None
    force: bool = False
    sinks: SinkOptions = field(default_factory=SinkOptions)
    preview: PreviewOptions | None = None
    vehicle: VehicleRequest | None = None
    tile: TileRequest | None = None
    reads: tuple[tuple[str, Path], ...] = ()
    log_json: bool = False

    @property
    def has_no_output(self) -> bool:
        """True if the results go nowhere, except perhaps to a window."""
        others = (self.save, self.masks, self.stats, self.trace, self.preview)
        return not any(others) and not self.sinks.any_asked

    @property
    def outputs(self) -> dict[str, Path | list[Path] | None]:
        """The paths of all outputs, by option."""
        return {
            "--save": self.save,
            "--masks": self.masks,
            "--stats": self.stats,
            "--trace": self.trace,
            "--out": None if self.tile is None else self.tile.out,
            "--record": self.sinks.record,
            "--events": self.sinks.event_files,
        }
