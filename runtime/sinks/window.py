"""The overlay in a window on the desktop."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from ...core.native_name import native_text
from .base import Output, Sink, StopRequested

_TITLE = "edgeseg (q ends)"
_END_KEYS = frozenset({ord("q"), ord("Q"), 27})
_PROBE = "import cv2; cv2.namedWindow('edgeseg'); cv2.waitKey(1)"
_PROBE_SECONDS = 20


def why_no_window() -> str:
    """The reason that no window can be shown here; empty if one can."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
    # Qt ends the whole process if it cannot reach the display, so a child process tries first.
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the display did not answer within {_PROBE_SECONDS} s"
    return "" if child.returncode == 0 else "OpenCV cannot open a window on this display"


class WindowSink(Sink):
    """Shows overlays in a window; q, Esc or closing the window ends the run. Frames that come too fast are skipped.

    Args:
        of: text in the title beside the program's name; empty for nothing.
    """

    name = "window"
    lossless = False
    foreground = True
    ephemeral = True
    is_acted_on = True
    beats = True

    def __init__(self, of: str = "") -> None:
        if of:
            self.name = f"window {of}"
        self._title = native_text(f"{_TITLE} {of}".rstrip())
        self._shown = False

    def write(self, output: Output) -> None:
        """Shows an overlay.

        Raises:
            StopRequested: the user asks the run to end.
        """
        if not self._shown:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(self._title, output.frame_bgr.shape[1], output.frame_bgr.shape[0])
            self._shown = True
        cv2.imshow(self._title, output.overlay_bgr)
        pressed = cv2.waitKey(1) & 0xFF
        if pressed in _END_KEYS or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            raise StopRequested

    def close(self, commit: bool) -> None:
        """Closes the window."""
        if self._shown:
            cv2.destroyWindow(self._title)
