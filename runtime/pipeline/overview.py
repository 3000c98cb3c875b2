"""The status of a run, made from its streams and its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..clock import now
from ..result import Segmentation
from ..status import RUNNING, STARTING, STOPPING, FindingStatus, SourceStatus, Status
from .degrade import Degrader
from .network import Network
from .options import Conditions
from .stats import RunStats
from .streams import Channel


class Overview:
    """Makes a :class:`~edgeseg.runtime.status.Status`. Any thread may call it.

    Args:
        channels: the run's streams.
        network: the run's network.
        degrader: the run's degrader.
        total: the statistics over all streams.
        run: what the parts of the run share.

    Attributes:
        stopping: True if the run is about to end.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        network: Network,
        degrader: Degrader,
        total: RunStats,
        run: Conditions,
    ) -> None:
        self._channels, self._network, self._degrader, self._total = channels, network, degrader, total
        self._run = run
        self._began_at = now()
        self.stopping = False

    def status(self) -> Status:
        """Returns the run's status now.

        Raises:
            SessionError: inference is so late that the run must end.
        """
        at = now()
        inferring = self._network.answers()
        sources = [self._source(channel, at, inferring) for channel in self._channels]
        segmenter = self._network.current
        started = any(channel.frames_read for channel in self._channels)
        if self.stopping:
            state = STOPPING
        else:
            state = RUNNING if started else STARTING
        return Status(
            state=state,
            ready=not self.stopping and all(source.valid for source in sources),
            uptime_seconds=at - self._began_at,
            sources=sources,
            stages=self._total.histograms(),
            inference_errors=self._network.errors,
            bundle=segmenter.bundle.name,
            variant=segmenter.variant.name,
            backend=segmenter.backend.name,
            device=segmenter.backend.device,
            precision=segmenter.backend.precision,
            degraded=self._degrader.degraded,
            deadline_ms=self._run.limits.deadline_ms,
            board=self._run.options.board(),
        )

    def _source(self, channel: Channel, at: float, inferring: bool) -> SourceStatus:
        source, stats, newest_bgr = channel.source, channel.stats, channel.newest_bgr
        connected = source.connected and channel.error is None
        verdict = channel.validity.judge(at, connected, inferring)
        newest = channel.validity.newest
        return SourceStatus(
            number=channel.number,
            name=channel.name,
            live=channel.live,
            connected=connected,
            problem=str(channel.error) if channel.error else source.problem,
            reconnects=source.reconnects,
            valid=verdict.valid,
            reason=verdict.reason,
            age_seconds=verdict.age_seconds,
            frame_id=None if newest is None else newest.frame_id,
            size_hw=None if newest_bgr is None else (newest_bgr.shape[0], newest_bgr.shape[1]),
            fps=stats.fps_at(at),
            captured=channel.frames_read,
            results=stats.frames,
            invalid=stats.invalid,
            dropped=channel.dropped,
            missing=channel.missing,
            deadline_misses=stats.deadline_misses,
            latency_ms=stats.latency_ms,
            class_share=stats.class_share if verdict.valid else {},
            sinks=[worker.status for worker in channel.workers],
            findings=_findings(newest, verdict.valid, stats.findings),
        )


def _findings(
    newest: Segmentation | None, valid: bool, counts: Mapping[str, Mapping[str, int]]
) -> dict[str, FindingStatus]:
    """Returns the status of each kind of finding; none is valid if the newest result is not valid now."""
    if newest is None:
        return {}
    findings = newest.findings if valid else newest.withdrawn_findings()
    return {
        name: FindingStatus(
            finding.valid,
            finding.reason,
            finding.caption,
            finding.facts(),
            counts.get(name, {}),
            finding.blind_to,
        )
        for name, finding in findings.items()
    }
