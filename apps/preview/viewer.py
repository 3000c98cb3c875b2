"""A page's WebSocket: it sends images as fast as the page draws them, and the run's status.

The protocol. The server sends text: ``hello`` once, ``status`` several times a second, ``bye`` when the run ends. And
binary: four bytes, little-endian, the length of a JSON header; the header; the JPEG; the class map, deflated. The
page answers each image with ``{"drawn": true}`` and may ask for another source with ``{"watch": 2}``. At most two
images are unanswered at a time, so that a slow page gets fewer images, and never older ones.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from typing import TYPE_CHECKING, Any

from ...runtime.clock import now
from .asgi import BadRequestError, Receive, Send, SlowClientError, flat_json
from .image import Packet, PreviewImage

if TYPE_CHECKING:
    from .hub import Hub

MOST_UNDER_WAY = 2
SLOW_SECONDS = 5.0
"""A viewer that takes longer for an image is dropped."""

_CHECK_SECONDS = 0.5


class Viewer:
    """Serves one page until it disconnects.

    Args:
        hub: the images and the status.
        receive: of the WebSocket, which is already accepted.
        send: of the WebSocket; raises an error if the client is too slow.
        source: number of the first source.
    """

    def __init__(self, hub: Hub, receive: Receive, send: Send, source: int) -> None:
        self._hub = hub
        self._receive = receive
        self._send = send
        self._wake = asyncio.Event()
        self._feed = hub.feed(source)
        self._sent_at: list[float] = []
        self._shown: PreviewImage | None = None
        self._gone = False

    async def serve(self) -> None:
        """Sends images and status until the page disconnects or the run ends.

        Raises:
            SlowClientError: the page takes too long for an image.
        """
        reader = asyncio.ensure_future(self._read())
        self._hub.wakes.add(self._wake)
        self._feed.watch(self._wake)
        try:
            await self._text(self._hub.hello())
            await self._write()
        finally:
            self._feed.unwatch(self._wake)
            self._hub.wakes.discard(self._wake)
            reader.cancel()

    async def _write(self) -> None:
        sent = 0
        while not self._gone:
            if self._hub.ending:
                await self._text(json.dumps({"type": "bye"}))
                await self._send({"type": "websocket.close", "code": 1001})
                return
            if self._hub.told != sent:
                sent = self._hub.told
                await self._text(self._hub.status_text)
            image = self._feed.shown
            if image is not None and image is not self._shown and len(self._sent_at) < MOST_UNDER_WAY:
                await self._show(image)
            if self._sent_at and time.monotonic() - self._sent_at[0] > SLOW_SECONDS:
                raise SlowClientError
            try:
                await asyncio.wait_for(self._wake.wait(), _CHECK_SECONDS)
            except asyncio.TimeoutError:
                continue
            self._wake.clear()

    async def _show(self, image: PreviewImage) -> None:
        number = self._feed.number
        packet = await self._feed.encoded(image.packet)
        if self._feed.number != number:
            return  # the page has asked for another source
        self._shown = image
        self._sent_at.append(time.monotonic())
        await self._send({"type": "websocket.send", "bytes": _message(packet, image, number)})

    async def _text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                break
            self._take(message.get("text") or "")
            self._wake.set()
        self._gone = True
        self._wake.set()

    def _take(self, text: str) -> None:
        try:
            message = flat_json(text)
        except BadRequestError:
            return  # not from our page, and harmless
        if not isinstance(message, dict):
            return
        if message.get("drawn") is True and self._sent_at:
            self._sent_at.pop(0)
        number = message.get("watch")
        if type(number) is int and number in self._hub.feeds:
            self._feed.unwatch(self._wake)
            self._feed = self._hub.feed(number)
            self._shown = None
            self._feed.watch(self._wake)


def _message(packet: Packet, image: PreviewImage, number: int) -> bytes:
    age_seconds = max(0.0, now() - image.output.result.captured_at)
    head: dict[str, Any] = {**packet.head, "source": number, "age_ms": round(age_seconds * 1e3)}
    text = json.dumps(head).encode()
    return b"".join((struct.pack("<I", len(text)), text, packet.jpeg, packet.classes))
