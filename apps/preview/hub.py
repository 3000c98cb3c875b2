"""The hub, which all viewers share: the sources' pictures, the newest status, places, and the recording."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from typing import Any

from ...core.labels import LabelMap
from ...runtime.reasons import MEANING, STALE
from ...runtime.status import Status
from .feed import Feed
from .recording_switch import RecordingSwitch
from .status_watch import SILENT_SECONDS, StatusWatch

log = logging.getLogger(__name__)


class Hub:
    """Belongs to the event loop's thread, but where said otherwise.

    Attributes:
        labels: the classes.
        feeds: one a source, by its number.
        watch: the newest status and the last minute.
        recording: what switches it; None where there is nothing to switch.
        most_viewers: at once.
        viewers: now.
        slow_viewers: dropped so far.
        wakes: set whenever there is something to tell.
        told: counts what there was to tell.
        status_text: the newest of it.
        ending: whether the run has ended.

    Args:
        labels: the classes.
        status: asks the run how it is doing.
        recording: as above.
        most_viewers: as above.
    """

    def __init__(
        self,
        labels: LabelMap,
        status: Callable[[], Status],
        recording: RecordingSwitch | None,
        most_viewers: int,
    ) -> None:
        self.labels = labels
        self.feeds: dict[int, Feed] = {}
        self.watch = StatusWatch(status, self._status_came)
        self.recording = recording
        self.most_viewers = most_viewers
        self.viewers = 0
        self.slow_viewers = 0
        self.wakes: set[asyncio.Event] = set()
        self.told = 0
        self.status_text = ""
        self.ending = False
        self.workers = ThreadPoolExecutor(2, "edgeseg preview")
        self._encoder = ThreadPoolExecutor(1, "edgeseg preview encoder")
        self._loop: asyncio.AbstractEventLoop | None = None

    def add_feed(self, number: int) -> Feed:
        """A source's feed, made where it is not there. Any thread, before the server starts or after."""
        if number not in self.feeds:
            feed = Feed(number, self.labels, self._encoder)
            feed.attach(self._loop)
            self.feeds[number] = feed
        return self.feeds[number]

    def feed(self, number: int) -> Feed:
        """A source's feed; the first source's where there is no such number."""
        return self.feeds.get(number) or self.add_feed(min(self.feeds, default=0))

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins, on an event loop."""
        self._loop = loop
        for feed in self.feeds.values():
            feed.attach(loop)
        self.watch.start()

    def detach(self) -> None:
        """Ends: nothing reaches the event loop any more."""
        self.watch.stop()
        self._loop = None
        for feed in self.feeds.values():
            feed.attach(None)
        self.workers.shutdown(wait=False, cancel_futures=True)
        self._encoder.shutdown(wait=False, cancel_futures=True)

    @property
    def has_place(self) -> bool:
        """True while one more may watch."""
        return self.viewers < self.most_viewers

    def enter(self) -> bool:
        """Takes a place for a viewer; False where all are taken."""
        if not self.has_place:
            return False
        self.viewers += 1
        return True

    def leave(self, slow: bool = False) -> None:
        """Gives it back."""
        self.viewers -= 1
        if slow:
            self.slow_viewers += 1
            log.warning(
                "A viewer of the preview was too slow and was dropped.",
                extra={"event": "preview-client-dropped", "fields": {"dropped": self.slow_viewers}},
            )

    def tick(self) -> None:
        """Tells all viewers how the run is doing now, and strikes out what is no longer true."""
        status = self.watch.newest
        for feed in self.feeds.values():
            self._strike_out(feed, status)
        if self.wakes:
            self.told += 1
            self.status_text = json.dumps({"type": "status", **self.facts()})
            for wake in self.wakes:
                wake.set()

    def facts(self) -> dict[str, Any]:
        """Returns how the run is doing, as JSON; ``run`` is null where it does not answer."""
        status = self.watch.newest
        run = None
        if status is not None:
            run = plain(status)
            del run["stages"]
        return {
            "run": run,
            "points": self.watch.last_points(),
            "recording": None if self.recording is None else {"active": self.recording.active},
            "viewers": self.viewers,
            "most_viewers": self.most_viewers,
        }

    def hello(self) -> str:
        """Returns the first message to a page."""
        return json.dumps(
            {
                "type": "hello",
                "classes": [{"name": label.name, "rgb": list(label.rgb)} for label in self.labels.labels],
                "sources": sorted(self.feeds),
                "history": self.watch.history(),
                "meanings": MEANING,
                **self.facts(),
            }
        )

    def _strike_out(self, feed: Feed, status: Status | None) -> None:
        """Sends a picture that is struck through where the sink's thread, which should, does not."""
        newest = feed.newest
        if newest is None or not newest.output.result.valid or feed.quiet_seconds < SILENT_SECONDS:
            return
        if status is None:
            feed.offer(newest.struck(STALE))
            return
        for source in status.sources:
            if source.number == feed.number and not source.valid:
                feed.offer(newest.struck(source.reason or STALE))

    def _status_came(self) -> None:
        """Called in the watch's thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self.tick)
            except RuntimeError:  # the loop was closed just now
                return


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as what JSON knows; numbers that it does not know are null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
