"""The link to an autopilot: one thread that listens, asks for what is needed, and sends what there is to tell."""

from __future__ import annotations

import logging
import math
import os
import select
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from ...core.errors import OutputError
from ...runtime.clock import now, now_ns
from ..pose import PoseHistory
from .address import LinkAddress
from .budget import WorkBudget
from .codec import COMPONENT, Codec
from .frames import MavlinkFrame
from .identity import AUTOPILOT, Identity
from .landing_target import Autopilot
from .needs import SET_MESSAGE_INTERVAL, Needs
from .pacing import Message, status_text
from .transport import open_transport
from .vehicle import Vehicle

log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 1.0
_ONBOARD_CONTROLLER, _NO_AUTOPILOT, _VERSION = 18, 8, 3
_ACTIVE, _CRITICAL = 4, 5
_WARNING = 4
_HEARTBEAT, _TIMESYNC, _COMMAND_ACK = 0, 111, 77
_OWN = {_HEARTBEAT: "HEARTBEAT", _TIMESYNC: "TIMESYNC", _COMMAND_ACK: "COMMAND_ACK"}
_SYNC_SECONDS, _SYNC_SLOW_SECONDS = 0.1, 1.0
_SYNC_QUICK = 10
_LONGEST_WAIT_SECONDS = 0.25
_MOST_PER_TURN = 64


class Talker(Protocol):
    """Something that has messages for the autopilot. The link's thread calls it."""

    def is_valid(self) -> bool:
        """True if there is something valid now; the heartbeat tells it."""

    def messages(self) -> Iterable[Message]:
        """Returns what is to be sent now."""

    def next_in(self) -> float:
        """Returns the seconds until :meth:`messages` may have something; infinite if it will not by itself."""


@dataclass(frozen=True)
class MavlinkOptions:
    """A link.

    Attributes:
        address: where the autopilot is.
        autopilot: its kind.
        system: the vehicle's system id; None for that of the first autopilot that is heard.
        key: 32 bytes, to sign with, and to take only what is signed; None for neither.
    """

    address: LinkAddress
    autopilot: Autopilot = "ardupilot"
    system: int | None = None
    key: bytes | None = None


@dataclass(frozen=True)
class LinkStatus:
    """A link at one moment.

    Attributes:
        system: the vehicle's system id; None if it is not known yet.
        is_heard: True if the autopilot's heartbeats come.
        clock: what the times of its messages are mapped by: ``timesync``, ``arrival``, or empty.
        height_above: what heights are above: ``range finder``, ``terrain``, ``home``, or empty.
        received: number of messages that were taken.
        refused: number of frames that were damaged, or whose signature was not right.
        sent: number of messages sent.
        lost: number of messages that the transport did not take.
        problem: why the transport fails now; empty if it does not.
    """

    system: int | None
    is_heard: bool
    clock: str
    height_above: str
    received: int
    refused: int
    sent: int
    lost: int
    problem: str


class MavlinkLink:
    """A link to an autopilot, open until it is closed. Any thread may use it.

    Example:
        >>> with MavlinkLink(MavlinkOptions(parse_address("udpin:0.0.0.0:14540"))) as link:
        ...     pose = link.poses.at(edgeseg.now() - 0.1)

    Args:
        options: of the link.

    Raises:
        MissingDependencyError: pymavlink is not installed.
        OutputError: the address cannot be opened.
    """

    def __init__(self, options: MavlinkOptions) -> None:
        self.options = options
        self._codec = Codec(options.key)
        self._transport = open_transport(options.address)
        self.name = self._transport.name
        self._reader = self._codec.reader()
        self._identity = Identity(options.system)
        self._codec.set_system(options.system or 1)
        self._vehicle = Vehicle()
        self._needs = Needs()
        self._budget = WorkBudget()
        self._wanted = {*_OWN, *(self._codec.number_of(kind) for kind in self._vehicle.kinds)}
        self._talkers: list[Talker] = []
        self._received = self._sent = self._lost = 0
        self._restarts = 0
        self._problem, self._failure = "", ""
        self._heartbeat_at = self._sync_at = -math.inf
        self._closing, self._lock = threading.Event(), threading.Lock()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="edgeseg mavlink", daemon=True)
        self._thread.start()

    def __enter__(self) -> MavlinkLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def poses(self) -> PoseHistory:
        """The vehicle's attitude, height and position."""
        return self._vehicle.poses

    def down_at(self, moment: float) -> float:
        """Returns z of the vehicle in LOCAL_POSITION_NED at a moment of ``edgeseg.now()``; NaN if it is not known."""
        return self._vehicle.down_at(moment)

    @property
    def status(self) -> LinkStatus:
        """The link now."""
        return LinkStatus(
            system=self._identity.system,
            is_heard=self._identity.is_heard,
            clock=self._vehicle.clock.by,
            height_above=self._vehicle.height_above,
            received=self._received,
            refused=self._reader.errors + self._codec.refused,
            sent=self._sent,
            lost=self._lost,
            problem=self._failure or self._problem,
        )

    def add(self, talker: Talker) -> None:
        """Sends what a talker has to tell from now on."""
        self._talkers = [*self._talkers, talker]

    def remove(self, talker: Talker) -> None:
        """Sends no more of a talker."""
        self._talkers = [other for other in self._talkers if other is not talker]

    def wake(self) -> None:
        """Asks the talkers at once.

        Raises:
            OutputError: the link has ended because of an error of its own.
        """
        if self._failure:
            raise OutputError(f"--mavlink {self.name}: the link has failed: {self._failure}")
        with self._lock:
            if not self._closing.is_set():
                with suppress(BlockingIOError):  # it has not been read since the last ones
                    os.write(self._wake_in, b"w")

    def close(self) -> None:
        """Ends the link. Nothing is sent afterwards. It may be called twice."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            with suppress(BlockingIOError):
                os.write(self._wake_in, b"w")
        self._thread.join()
        self._transport.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._listen()
                self._wait(self._speak())
        except Exception as error:  # raised to who sends, by wake()
            self._failure = f"{type(error).__name__}: {error}"
            log.exception("The MAVLink thread failed", extra={"event": "mavlink-failed", "fields": {}})

    def _wait(self, seconds: float) -> None:
        """Waits for bytes, for a talker, or for the time."""
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        number, pause = self._transport.fileno(), self._budget.pause(time.monotonic())
        if number is not None and not pause:
            poll.register(number, select.POLLIN)
        wait_s = min(seconds, pause or _LONGEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        for ready, _ in poll.poll(math.ceil(wait_s * 1e3)):
            if ready == self._wake_out:
                os.read(self._wake_out, 4096)

    def _listen(self) -> None:
        try:
            self._transport.maintain()
            if not self._budget.pause(time.monotonic()) and self._budget.resumes():
                self._transport.discard()
                self._reader.clear()
            for _ in range(_MOST_PER_TURN):
                if self._budget.pause(time.monotonic()):
                    return
                arrived = self._transport.receive()
                if arrived is None:
                    return
                self._take(*arrived)
        except OSError as error:
            self._trouble(error)

    def _take(self, data: bytes, sender: object) -> None:
        arrived_at, before = now(), self._reader.errors
        if not self._identity.may_be(sender):
            self._budget.spend(len(data))
            return
        frames = self._reader.feed(data)
        self._budget.spend(len(data), len(frames), self._reader.errors - before)
        for frame in frames:
            if self._identity.wants(frame.system, frame.component) and frame.message in self._wanted:
                self._budget.spend_decode()
                self._take_frame(frame, sender, arrived_at)

    def _take_frame(self, frame: MavlinkFrame, sender: object, arrived_at: float) -> None:
        message = self._codec.decode(frame)
        if message is None:
            return
        kind, at = message.get_type(), time.monotonic()
        if kind == "HEARTBEAT":
            if not self._identity.take_heartbeat(frame.system, frame.component, message, sender, at):
                return
            self._codec.set_system(frame.system)
        if frame.system != self._identity.system or frame.component != AUTOPILOT:
            return
        self._received += 1
        if self._problem:
            self._problem = ""
            log.info(
                "The autopilot is heard by %s again",
                self.name,
                extra={"event": "mavlink-back", "fields": {"link": self.name}},
            )
        self._transport.answer_to(self._identity.sender)
        if kind == "TIMESYNC":
            answer = self._vehicle.take_timesync(message)
            if answer is not None:
                self._send("TIMESYNC", answer)
        elif kind == "COMMAND_ACK":
            if message.target_component in (0, COMPONENT):
                refusal = self._needs.take_answer(message)
                if refusal:
                    self._send(*status_text(refusal, _WARNING))
        elif kind != "HEARTBEAT":
            self._needs.seen(kind, at)
            self._vehicle.take(message, arrived_at)

    def _speak(self) -> float:
        """Sends what is due; returns the seconds until something is due again."""
        at = time.monotonic()
        talkers = self._talkers
        if at >= self._heartbeat_at:
            # Fixed steps, so that the rate is kept; after a sleep of the machine they begin anew.
            self._heartbeat_at = max(self._heartbeat_at + _HEARTBEAT_SECONDS, at)
            if self._heartbeat_at == at:
                self._heartbeat_at = at + _HEARTBEAT_SECONDS
            self._send("HEARTBEAT", _heartbeat(any([talker.is_valid() for talker in talkers])))
        wait_s = self._heartbeat_at - at
        change = self._identity.check(at)
        if change or self._restarts != self._vehicle.clock.restarts:
            self._restarts = self._vehicle.clock.restarts
            self._needs.begin()
        if self._identity.system is None:
            return wait_s
        if self._identity.is_heard:
            wait_s = min(wait_s, self._ask(at))
        for talker in talkers:
            for kind, fields in talker.messages():
                self._send(kind, fields)
            wait_s = min(wait_s, talker.next_in())
        return wait_s

    def _ask(self, at: float) -> float:
        sync = self._vehicle.sync
        if at >= self._sync_at:
            quick = sync.answers < _SYNC_QUICK and sync.asked < 5 * _SYNC_QUICK
            self._sync_at = at + (_SYNC_SECONDS if quick else _SYNC_SLOW_SECONDS)
            self._send("TIMESYNC", sync.ask(now_ns()))
        question = self._needs.next_question(at)
        if question is not None:
            rest = {f"param{number}": 0.0 for number in range(3, 8)}
            target = {"target_system": self._identity.system, "target_component": AUTOPILOT}
            command = {"command": SET_MESSAGE_INTERVAL, "confirmation": 0}
            self._send("COMMAND_LONG", {**target, **command, **question, **rest})
        return self._sync_at - at

    def _send(self, kind: str, fields: Mapping[str, Any]) -> None:
        try:
            gone = self._transport.send(self._codec.pack(kind, fields))
        except OSError as error:
            gone = False
            self._trouble(error)
        self._sent += gone
        self._lost += not gone

    def _trouble(self, error: OSError) -> None:
        """Tells a failure of the transport once, until the autopilot is heard again."""
        problem = error.strerror or str(error)
        self._reader.clear()
        if problem != self._problem:
            log.warning(
                "No way to the autopilot by %s: %s; trying on",
                self.name,
                problem,
                extra={"event": "mavlink-trouble", "fields": {"link": self.name, "problem": problem}},
            )
        self._problem = problem


def _heartbeat(active: bool) -> dict[str, int]:
    return {
        "type": _ONBOARD_CONTROLLER,
        "autopilot": _NO_AUTOPILOT,
        "base_mode": 0,
        "custom_mode": 0,
        "system_status": _ACTIVE if active else _CRITICAL,
        "mavlink_version": _VERSION,
    }
