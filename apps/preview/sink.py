"""The preview's sink, one for each source. It passes outputs to the server by reference."""

from __future__ import annotations

from ...runtime.sinks.base import Output, Sink
from .feed import Feed


class PreviewSink(Sink):
    """Gives a source's outputs to the preview page.

    It never waits and never fails: the server handles the viewers.

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
        """Passes an output to the feed."""
        self._feed.offer(output)

    def close(self, commit: bool) -> None:
        """Does nothing: the last image stays until the server is closed."""
