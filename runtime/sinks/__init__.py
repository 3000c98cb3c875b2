"""The sinks of results: videos, masks, events, shared memory, a window."""
