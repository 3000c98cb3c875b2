"""The state that all viewers share: the sources' images, the newest status, the places, and the recording."""

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
    """The state that all viewers share. Only the event loop's thread may use it, unless a method says otherwise.

    Attributes:
        labels: the classes.
        feeds: one a source, by its number.
        watch: the newest status and the last minute.
        recording: its switch; None if there is no recording.
        most_viewers: at once.
        viewers: now.
        slow_viewers: number of viewers dropped so far.
        wakes: events that are set for each new status message.
        told: number of status messages so far.
        status_text: the newest status message.
        ending: True once the run has ended.

    Args:
        labels: the classes.
        recording: as above.
        most_viewers: as above.
    """

    def __init__(self, labels: LabelMap, recording: RecordingSwitch | None, most_viewers: int) -> None:
        self.labels = labels
        self.feeds: dict[int, Feed] = {}
        self.watch = StatusWatch(self._status_came)
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
        """A source's feed, made if it is missing. Any thread may call it, before or after the server starts."""
        if number not in self.feeds:
            feed = Feed(number, self.labels, self._encoder)
            feed.attach(self._loop)
            self.feeds[number] = feed
        return self.feeds[number]

    def feed(self, number: int) -> Feed:
        """A source's feed; the first source's if there is no such number."""
        return self.feeds.get(number) or self.add_feed(min(self.feeds, default=0))

    def attach(self, loop: asyncio.AbstractEventLoop, status: Callable[[], Status]) -> None:
        """Begins work on an event loop.

        Args:
            loop: the event loop, which runs.
            status: asks the run for its status.
        """
        self._loop = loop
        for feed in self.feeds.values():
            feed.attach(loop)
        self.watch.start(status)

    def detach(self) -> None:
        """Ends work: nothing reaches the event loop any more."""
        self.watch.stop()
        self._loop = None
        for feed in self.feeds.values():
            feed.attach(None)
        self.workers.shutdown(wait=False, cancel_futures=True)
        self._encoder.shutdown(wait=False, cancel_futures=True)

    @property
    def has_place(self) -> bool:
        """True if there is a place for one more viewer."""
        return self.viewers < self.most_viewers

    def enter(self) -> bool:
        """Takes a place for a viewer. Returns False if all are taken."""
        if not self.has_place:
            return False
        self.viewers += 1
        return True

    def leave(self, slow: bool = False) -> None:
        """Gives a viewer's place back."""
        self.viewers -= 1
        if slow:
            self.slow_viewers += 1
            log.warning(
                "A viewer of the preview was too slow and was dropped.",
                extra={"event": "preview-client-dropped", "fields": {"dropped": self.slow_viewers}},
            )

    def tick(self) -> None:
        """Sends the run's status to all viewers, and strikes out images that are no longer valid."""
        status = self.watch.newest
        for feed in self.feeds.values():
            self._strike_out(feed, status)
        if self.wakes:
            self.told += 1
            self.status_text = json.dumps({"type": "status", **self.facts()})
            for wake in self.wakes:
                wake.set()

    def facts(self) -> dict[str, Any]:
        """Returns the run's status, ready for JSON; ``run`` is null if the run does not answer."""
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
        """Sends a struck-out image if the sink's thread, which should send it, does not."""
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
        """Handles a new status. It is called in the watch's thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self.tick)
            except RuntimeError:  # the loop was closed just now
                return


def plain(value: Any) -> Any:
    """Converts dataclasses, mappings and sequences for JSON; numbers that JSON does not support become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
