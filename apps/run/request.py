"""What a run is asked to do: all that the command line says of it, checked, and nothing of how it was typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...runtime.health.limits import Limits
from ...runtime.sources.live import LiveOptions
from ..preview.options import PreviewOptions
from ..tiling.request import TileRequest

DEFAULT_BUNDLE = Path("bundle/lraspp")
PNG, NPZ = "png", "npz"


@dataclass(frozen=True)
class NetworkRequest:
    """The network that runs, and on what.

    Attributes:
        bundle: the folder.
        variant: of the bundle; None for the bundle's own choice.
        backend: a name, or ``auto``.
        device: that the backend knows; None for the backend's own choice.
        threads: of the CPU, for inference; None for what a measurement favours.
        batch: the most frames that are inferred at once; None for what a measurement favours.
        degrade: what to run while deadlines are missed, step by step: variants' names, and shares of the frames.
    """

    bundle: Path = DEFAULT_BUNDLE
    variant: str | None = None
    backend: str = "onnxruntime"
    device: str | None = None
    threads: int | None = None
    batch: int | None = None
    degrade: tuple[str | float, ...] = ()


@dataclass(frozen=True)
class SinkOptions:
    """What is asked for beside a window.

    Attributes:
        segment_seconds: how long each file of a video lasts; None for one file.
        save_limit_bytes: of a video's segments together; None without a bound.
        masks_format: ``png`` or ``npz``.
        events: targets.
        shm: name of shared memory.
        shm_frames: whether frames go there too.
        record: folder of a recording.
        record_limit_bytes: of it; None without a bound.
    """

    segment_seconds: float | None = None
    save_limit_bytes: int | None = None
    masks_format: str = PNG
    events: tuple[str, ...] = ()
    shm: str | None = None
    shm_frames: bool = False
    record: Path | None = None
    record_limit_bytes: int | None = None

    @property
    def any_asked(self) -> bool:
        """Whether results go anywhere by these options alone."""
        return bool(self.events or self.shm or self.record)

    @property
    def event_files(self) -> list[Path]:
        """The targets of events that are files."""
        return [Path(target) for target in self.events if target != "-" and not target.startswith("udp:")]

    @property
    def take_standard_output(self) -> bool:
        """Whether events go to standard output, so that nothing else may."""
        return "-" in self.events


@dataclass(frozen=True)
class RunRequest:
    """A run.

    Attributes:
        network: what infers.
        sources: as :func:`edgeseg.open_source` takes them; empty for the first camera, else the aerial world.
        frames: of each source, after which the run ends; None for all.
        live: how long cameras and servers are waited for.
        limits: what the run promises about its results.
        save: a video.
        masks: a folder of class maps.
        show: a window.
        stats: a file of figures.
        trace: a file of spans.
        force: whether outputs may replace others.
        sinks: where else results go.
        preview: the page; None for none.
        tile: one large image, tile by tile, in place of a stream; None for a stream.
        reads: the files that the options themselves were read from, by what they are.
        log_json: whether all that is told is a log that machines read.
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
    tile: TileRequest | None = None
    reads: tuple[tuple[str, Path], ...] = ()
    log_json: bool = False

    @property
    def outputs(self) -> dict[str, Path | list[Path] | None]:
        """What is written, by the option that names it."""
        return {
            "--save": self.save,
            "--masks": self.masks,
            "--stats": self.stats,
            "--trace": self.trace,
            "--out": None if self.tile is None else self.tile.out,
            "--record": self.sinks.record,
            "--events": self.sinks.event_files,
        }
