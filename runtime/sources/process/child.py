"""The capturing child: opens a library's capture, keeps its newest frame, and sends it on request.

It exchanges JSON with its parent over a socket, one message a packet; frames are in shared memory. It imports only
NumPy and the parts of edgeseg that the capture needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import select
import signal
import socket
import threading
import traceback
from typing import Any

from ....core.images.bounds import MOST_PIXELS_A_SECOND, PixelBudget, most_live_pixels
from .capture import Capture, CaptureError, Grabbed
from .ring import SLOTS, Ring

MOST_MESSAGE_BYTES = 1 << 16
_CLOSE_SECONDS = 0.25


def main(socket_fd: int, life_fd: int) -> None:
    """Serves the parent until that sends ``close`` or ends."""
    _die_with_parent(life_fd)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The parent may still need its child after the signal, and ends it itself.
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=socket_fd) as connection:
        Server(connection).run()
    # A library may hang or crash as it unloads, and no work is left.
    os._exit(0)


def _die_with_parent(life_fd: int) -> None:
    """Makes the kernel end this process when the parent's end of the pipe closes, even if a library hangs then.

    ``PR_SET_PDEATHSIG`` would act when the *thread* that started the child ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life_fd, fcntl.F_SETFL, fcntl.fcntl(life_fd, fcntl.F_GETFL) | os.O_ASYNC)
    ready = select.poll()
    ready.register(life_fd, select.POLLIN)
    if ready.poll(0):
        os._exit(0)


class Server:
    """Keeps the newest frame of a capture and sends it on request.

    Each slot is the capturing thread's, has the newest frame, or is the parent's until its next request.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._asked = False
        self._ring: Ring | None = None
        self._announced: Ring | None = None
        self._ring_fd = -1
        self._newest: tuple[int, Grabbed] | None = None
        self._lent = -1
        self._dropped = 0
        self._failure: dict[str, Any] | None = None

    def run(self) -> None:
        """Opens the capture that the parent requests, and serves it."""
        request = self._receive()
        if request is None:
            return
        module_name, class_name = request["target"].split(":")
        try:
            capture: Capture = getattr(importlib.import_module(module_name), class_name)(request["spec"])
        except CaptureError as error:
            self._send({"failed": str(error), "hopeless": error.hopeless})
            return
        self._send({"opened": True, "fps": capture.fps, "notes": list(capture.notes)})
        thread = threading.Thread(target=self._capture_or_end, args=(capture,), daemon=True)
        thread.start()
        while (request := self._receive()) is not None and "next" in request:
            with self._lock:
                self._lent = -1
                self._asked = True
                self._hand_over()
        self._ending.set()
        thread.join(_CLOSE_SECONDS)
        if not thread.is_alive():
            capture.close()

    def _capture_or_end(self, capture: Capture) -> None:
        try:
            self._capture(capture)
        except Exception:  # the parent reports the last line of any library's error
            traceback.print_exc()
            os._exit(1)

    def _capture(self, capture: Capture) -> None:
        budget = PixelBudget()
        while not self._ending.is_set():
            slot = self._free_slot()
            into = self._ring.slots[slot] if self._ring is not None else None
            try:
                grabbed = capture.read(into)
            except CaptureError as error:
                self._fail(str(error), error.hopeless)
                return
            shape = grabbed.frame.shape
            if len(shape) != 3 or shape[2] != 3 or not 0 < shape[0] * shape[1] <= most_live_pixels():
                self._fail(f"it gives frames of the shape {shape}, which edgeseg does not take", False)
                return
            if not budget.take(shape[0] * shape[1]):
                self._fail(f"it gives more than {MOST_PIXELS_A_SECOND >> 20} megapixels a second", False)
                return
            with self._lock:
                ring = self._ring
                if ring is None or ring.shape != shape:
                    ring, slot = self._new_ring((shape[0], shape[1], 3)), 0
                assert self._ring is not None
                if grabbed.frame is not self._ring.slots[slot]:
                    self._ring.slots[slot][:] = grabbed.frame
                self._dropped += self._newest is not None
                self._newest = slot, grabbed
                self._hand_over()

    def _free_slot(self) -> int:
        with self._lock:
            taken = {self._lent, self._newest[0] if self._newest is not None else -1}
            return next(slot for slot in range(SLOTS) if slot not in taken)

    def _new_ring(self, shape: tuple[int, int, int]) -> Ring:
        if self._ring_fd >= 0:
            os.close(self._ring_fd)
        self._dropped += self._newest is not None
        self._newest, self._lent = None, -1
        ring, self._ring_fd = Ring.create(shape)
        self._ring = ring
        return ring

    def _fail(self, problem: str, hopeless: bool) -> None:
        with self._lock:
            self._failure = {"failed": problem, "hopeless": hopeless}
            self._hand_over()

    def _hand_over(self) -> None:
        """Answers the parent's open request, if there is an answer. Needs the lock."""
        if not self._asked:
            return
        if self._newest is None:
            if self._failure is not None:
                self._asked = False
                self._send(self._failure)
            return
        slot, grabbed = self._newest
        self._asked, self._newest, self._lent = False, None, slot
        message = {"slot": slot, "at": grabbed.at, "fault": grabbed.fault, "dropped": self._dropped}
        if self._announced is self._ring:
            self._send(message)
            return
        self._announced = self._ring
        self._send({**message, "shape": grabbed.frame.shape}, self._ring_fd)

    def _send(self, message: dict[str, Any], fd: int = -1) -> None:
        data = json.dumps(message).encode()
        # If the parent is gone, nobody needs the answer, and the kernel ends this process.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fd < 0:
                self._connection.send(data)
            else:
                socket.send_fds(self._connection, [data], [fd])

    def _receive(self) -> dict[str, Any] | None:
        try:
            data = self._connection.recv(MOST_MESSAGE_BYTES)
        except ConnectionResetError:
            return None
        return json.loads(data) if data else None
