"""A bag of ROS 2 as MCAP, written without ROS, by the package ``rosbags``."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...core.errors import MissingDependencyError, OutputError
from .library import Ros

_VISION = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"
    ),
}
"""Definitions that ``rosbags`` lacks, as in vision_msgs 4."""

_TEXTS = ("string", "wstring")
_BASE, _NAME = 1, 2
"""Kinds of a field in ``rosbags``: a plain value, and a message; arrays and sequences of them are above."""


class BagWriter:
    """Writes messages to a new bag, compressed with Zstandard.

    Args:
        folder: of the bag, which must not exist.

    Attributes:
        ros: makes the messages that can be written, in the form that :mod:`.messages` takes. The labels are a
            ``LabelInfo``.

    Raises:
        MissingDependencyError: ``rosbags`` is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
            from rosbags.typesys import Stores, get_types_from_msg, get_typestore
        except ImportError as error:
            raise MissingDependencyError("rosbags", "bag", "a bag of ROS 2") from error
        self._store = get_typestore(Stores.ROS2_JAZZY)
        for kind, definition in _VISION.items():
            self._store.register(get_types_from_msg(definition, kind))
        self.ros = Ros(
            rclpy=None,
            sensor=self._module("sensor_msgs"),
            std=self._module("std_msgs"),
            nav=self._module("nav_msgs"),
            geometry=self._module("geometry_msgs"),
            diagnostic=self._module("diagnostic_msgs"),
            interfaces=None,
            vision=self._module("vision_msgs"),
        )
        self._folder, self._connections = folder, dict[str, Any]()
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from error

    def write(self, topic: str, message: Any, at_ns: int) -> None:
        """Writes a message.

        Args:
            topic: its full name.
            message: made by :attr:`ros`.
            at_ns: nanoseconds since 1970, under which the bag has it.

        Raises:
            OutputError: the disk is full or fails.
        """
        kind = message.kind
        data = self._store.serialize_cdr(self._ready(message), kind)
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
            self._writer.write(self._connections[topic], at_ns, data)
        except OSError as error:
            raise OutputError(f"cannot write {self._folder}: {error.strerror}") from error

    def close(self) -> None:
        """Ends the bag: it has its index then.

        Raises:
            OutputError: the disk is full or fails.
        """
        try:
            self._writer.close()
        except OSError as error:
            raise OutputError(f"cannot write {self._folder}: {error.strerror}") from error

    def abort(self) -> None:
        """Lets the file go, without an index."""
        self._writer.abort()

    def _module(self, package: str) -> SimpleNamespace:
        """Returns what stands for ``PACKAGE.msg``: a maker of each of its messages."""
        start = f"{package}/msg/"
        kinds = [kind for kind in self._store.fielddefs if kind.startswith(start)]
        return SimpleNamespace(**{kind.removeprefix(start): self._maker(kind) for kind in kinds})

    def _maker(self, kind: str) -> Callable[[], SimpleNamespace]:
        def make() -> SimpleNamespace:
            _, fields = self._store.fielddefs[kind]
            return SimpleNamespace(kind=kind, **{name: self._blank(form) for name, form in fields})

        return make

    def _blank(self, form: Any) -> Any:
        """Returns the value of a field that nobody sets."""
        number, details = form
        if number == _BASE:
            return "" if details[0] in _TEXTS else 0
        if number == _NAME:
            return self._maker(details)()
        (_, element), length = details
        return [0] * length if element[0] not in _TEXTS else [""] * length

    def _ready(self, message: SimpleNamespace) -> SimpleNamespace:
        """Returns a message with the types that the serialiser takes."""
        _, fields = self._store.fielddefs[message.kind]
        values = {name: self._plain(getattr(message, name), form) for name, form in fields}
        return SimpleNamespace(**values)

    def _plain(self, value: Any, form: Any) -> Any:
        number, details = form
        if number == _BASE:
            return value[0] if isinstance(value, bytes) else value
        if number == _NAME:
            return self._ready(value)
        (element_number, element), _ = details
        if element_number == _NAME:
            return [self._ready(each) for each in value]
        if element[0] in _TEXTS:
            return list(value)
        dtype = {"byte": "uint8", "octet": "uint8", "bool": "bool"}.get(element[0], element[0])
        return np.frombuffer(value, dtype) if isinstance(value, array) else np.asarray(value, dtype)
