"""The newest image of a source, passed from the sink's thread to the viewers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from ...core.labels import LabelMap
from ...runtime.clock import now
from ...runtime.sinks.base import Output
from .image import PreviewImage

_MOST_IMAGES_A_SECOND = 30.0

Made = TypeVar("Made")


class Feed:
    """Keeps one source's newest image. An image is encoded only if a viewer can receive it.

    :meth:`offer` is for the sink's thread and passes a reference; all other methods are for the event loop.

    Args:
        number: of the source.
        labels: the classes.
        encoder: encodes images, in a thread of its own.
    """

    def __init__(self, number: int, labels: LabelMap, encoder: Executor) -> None:
        self.number = number
        self.shown: PreviewImage | None = None
        self._newest: PreviewImage | None = None
        self._offered_at = 0.0
        self._labels = labels
        self._encoder = encoder
        self._watchers: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()
        self._under_way = False
        self._shown_at = 0.0

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Sets the event loop that receives images; None once it ends."""
        with self._loop_lock:
            self._loop = loop

    def offer(self, output: Output) -> None:
        """Keeps an output. It takes microseconds, with or without viewers."""
        self._newest = PreviewImage(output, self._labels, self._newest)
        self._offered_at = now()
        if self._watchers:
            with self._loop_lock:
                if self._loop is not None:
                    self._loop.call_soon_threadsafe(self._soon)

    @property
    def newest(self) -> PreviewImage | None:
        """The newest image, seen or not."""
        return self._newest

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the newest output came."""
        return now() - self._offered_at

    def watch(self, wake: asyncio.Event) -> None:
        """Sets an event for the newest image, and for each later one."""
        self._watchers.add(wake)
        self._show()

    def unwatch(self, wake: asyncio.Event) -> None:
        """Ends :meth:`watch`."""
        self._watchers.discard(wake)

    async def encoded(self, make: Callable[[], Made]) -> Made:
        """Calls an image's method in the encoder's thread, and returns its result."""
        return await asyncio.get_running_loop().run_in_executor(self._encoder, make)

    def _soon(self) -> None:
        """Shows the newest image now, or when the next one is due."""
        if self._under_way:
            return
        due = self._shown_at + 1 / _MOST_IMAGES_A_SECOND - now()
        if due <= 0:
            self._show()
        else:
            self._under_way = True
            asyncio.get_running_loop().call_later(due, self._show)

    def _show(self) -> None:
        self._under_way = False
        self._shown_at = now()
        self.shown = self._newest
        for wake in self._watchers:
            wake.set()
