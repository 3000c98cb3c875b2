"""A recording as a bag of ROS 2, for Foxglove, ``ros2 bag`` and all that reads MCAP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...core.errors import DataError, OutputError
from ...core.outputs import discard, prepare_output, put_in_place, with_a_name
from ...embedding.ros2 import messages
from ...embedding.ros2.bag import BagWriter
from ...embedding.ros2.diagnostics import diagnostic_array, health_of
from ...embedding.ros2.stamps import RosStamp, stamp_of_name
from .reading import RecordedFrame, Recording

IMAGE, MASK, LABELS, DIAGNOSTICS = "/edgeseg/image", "/edgeseg/mask", "/edgeseg/labels", "/diagnostics"
_CAMERA = "camera"


def write_bag(
    recording: Recording, folder: Path, force: bool, on_frame: Callable[[int], None] = lambda frames: None
) -> int:
    """Writes the frames, masks, labels and reasons of a recording to a bag, which appears whole or not at all.

    A frame that came from a ROS topic has its own stamp again; others have the time at which they were captured.

    Args:
        recording: to read.
        folder: of the bag.
        force: whether it may replace the files of another one.
        on_frame: called with the number of frames so far.

    Returns:
        The number of frames.

    Raises:
        DataError: the recording does not say when its frames were captured.
        MissingDependencyError: ``rosbags`` is not installed.
        OutputError: the bag exists, or cannot be written.
    """
    partial = prepare_output(folder, force, folder=True)
    try:
        partial.mkdir()
        inside = partial / with_a_name(folder).name  # the file in it is called as its folder
        bag = BagWriter(inside)
        try:
            frames = _write_all(bag, recording, on_frame)
            bag.close()
        except BaseException:
            bag.abort()
            raise
        put_in_place(inside, folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        discard(partial)
    return frames


def _write_all(bag: BagWriter, recording: Recording, on_frame: Callable[[int], None]) -> int:
    frames, reason = 0, None
    for frame in recording.frames():
        at_ns = frame.taken_ns
        if at_ns is None:
            raise DataError(
                f"{frame.take} does not say when it was recorded, so that nothing of it has a time"
            )
        stamp = stamp_of_name(frame.name) or RosStamp("", at_ns)
        header = messages.header_of(bag.ros, stamp._replace(frame_id=stamp.frame_id or _CAMERA))
        if not frames:
            bag.write(LABELS, messages.label_info(bag.ros, header, recording.labels), at_ns)
        bag.write(IMAGE, messages.colour_image(bag.ros, header, frame.frame_bgr), at_ns)
        bag.write(MASK, messages.mask_image(bag.ros, header, frame.classes), at_ns)
        if frame.reason != reason:
            reason = frame.reason
            bag.write(DIAGNOSTICS, _diagnosis(bag, frame, at_ns), at_ns)
        frames += 1
        on_frame(frames)
    return frames


def _diagnosis(bag: BagWriter, frame: RecordedFrame, at_ns: int) -> object:
    header = messages.header_of(bag.ros, RosStamp("", at_ns))
    health = health_of(frame.reason, None, None)
    return diagnostic_array(bag.ros, header, "edgeseg: recording", frame.take, health)
