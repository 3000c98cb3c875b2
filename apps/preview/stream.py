"""The overlay as a stream of JPEGs, for players and for other web pages."""

from __future__ import annotations

import asyncio

from .asgi import Receive, Send
from .feed import Feed
from .hub import Hub

_BOUNDARY = b"edgeseg-frame"
_CHECK_SECONDS = 0.5


async def stream(hub: Hub, feed: Feed, receive: Receive, send: Send) -> None:
    """Sends overlays until the client goes or the run ends.

    Raises:
        SlowClientError: the client reads too slowly.
    """
    content_type = b"multipart/x-mixed-replace; boundary=" + _BOUNDARY
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
    await send({"type": "http.response.body", "body": b"--" + _BOUNDARY + b"\r\n", "more_body": True})
    wake, gone = asyncio.Event(), asyncio.Event()
    reader = asyncio.ensure_future(_wait_for_disconnect(receive, wake, gone))
    hub.wakes.add(wake)
    feed.watch(wake)
    shown = None
    try:
        while not (gone.is_set() or hub.ending):
            image = feed.shown
            if image is not None and image is not shown:
                shown = image
                jpeg = await feed.encoded(image.drawn)
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                # The boundary comes last, not first: players show an image once they have its end.
                part = b"".join((head, jpeg, b"\r\n--", _BOUNDARY, b"\r\n"))
                await send({"type": "http.response.body", "body": part, "more_body": True})
            try:
                await asyncio.wait_for(wake.wait(), _CHECK_SECONDS)
            except asyncio.TimeoutError:
                continue
            wake.clear()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        feed.unwatch(wake)
        hub.wakes.discard(wake)
        reader.cancel()


async def _wait_for_disconnect(receive: Receive, wake: asyncio.Event, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
    wake.set()
