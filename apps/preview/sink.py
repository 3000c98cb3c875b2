"""The preview as a sink: one a source, which hands each output to the server by reference."""

from __future__ import annotations

from ...runtime.sinks.base import Output, Sink
from .feed import Feed


class PreviewSink(Sink):
    """Gives a source's outputs to the preview page.

    It never waits and never fails: what viewers do is the server's business.

    Args:
        feed: of the source.
    """

    lossless = False
    beats = True
    ephemeral = True
    is_acted_on = True
    most_failures = 1000

    def __init__(self, feed: Feed) -> None:
        self.name = "preview"
        self._feed = feed

    def write(self, output: Output) -> None:
        """Hands an output over."""
        self._feed.offer(output)

    def close(self, commit: bool) -> None:
        """Does nothing: the last picture stays until the server is closed."""
