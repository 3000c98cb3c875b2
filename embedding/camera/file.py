"""Camera files: the YAML that ROS's camera_calibration and OpenCV's calibration sample write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...core.errors import DataError, UsageError
from ...core.files import read_text
from ...core.outputs import replacing
from .model import CameraModel, Distortion

_MOST_BYTES = 1 << 20
_HEADER = "%YAML:1.0\n---\n"
_MODELS: dict[str, Distortion] = {
    "plumb_bob": "brown",
    "rational_polynomial": "brown",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}
"""ROS's names of distortion models (sensor_msgs/distortion_models.hpp) and the same in this house."""


def read_camera(path: Path) -> CameraModel:
    """Reads a camera's calibration.

    Args:
        path: YAML with ``image_width``, ``image_height``, ``camera_matrix`` and ``distortion_coefficients``, as from
            ROS (``distortion_model`` beside them) or from OpenCV (with ``fisheye_model``, if it is one).

    Raises:
        DataError: it cannot be read, an entry is missing, or a number is out of range.
    """
    text = read_text(path, "the camera's calibration", most_bytes=_MOST_BYTES)
    if not text.lstrip().startswith("%YAML"):
        text = _HEADER + text
    try:
        flags = cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY | cv2.FILE_STORAGE_FORMAT_YAML
        storage = cv2.FileStorage(text, flags)
    except (cv2.error, SystemError) as error:  # which of the two depends on OpenCV's version
        raise DataError(
            f"{path} is not YAML of a camera's calibration, as ROS and OpenCV write it"
        ) from error
    try:
        return _model(path, storage)
    except UsageError as error:
        raise DataError(f"{path}: {error}") from error
    finally:
        storage.release()


def _model(path: Path, storage: Any) -> CameraModel:
    height, width = (int(_number(path, storage, f"image_{side}")) for side in ("height", "width"))
    k = _values(path, storage, "camera_matrix")
    if len(k) != 9:
        raise DataError(f"{path}: camera_matrix has {len(k)} numbers; expected 9")
    if k[1] or k[3]:
        raise DataError(
            f"{path}: camera_matrix has a skew of {k[1]:g}, which no model here has; calibrate without one"
        )
    named = storage.getNode("distortion_model")
    name = named.string() if named.isString() else ""
    if name and name not in _MODELS:
        raise DataError(f"{path}: distortion_model {name!r}; expected one of {', '.join(_MODELS)}")
    is_fisheye = storage.getNode("fisheye_model")
    model = _MODELS[name or ("fisheye" if is_fisheye.isInt() and is_fisheye.real() else "plumb_bob")]
    coefficients = _values(path, storage, "distortion_coefficients")
    if model == "fisheye" and not any(coefficients[4:]):
        coefficients = coefficients[:4]  # ROS pads them with zeros
    return CameraModel((height, width), k[0], k[4], k[2], k[5], tuple(coefficients), model)


def _number(path: Path, storage: Any, key: str) -> float:
    node = storage.getNode(key)
    if not (node.isInt() or node.isReal()):
        raise DataError(f"{path} has no number {key}; expected a camera's calibration by ROS or OpenCV")
    return float(node.real())


def _values(path: Path, storage: Any, key: str) -> list[float]:
    """Returns the numbers of a matrix, by ROS (``rows``, ``cols``, ``data``) or by OpenCV (a typed matrix)."""
    node = storage.getNode(key)
    data = node.getNode("data") if node.isMap() else None
    if data is None or not data.isSeq():
        raise DataError(f"{path} has no matrix {key}; expected a camera's calibration by ROS or OpenCV")
    entries = [data.at(index) for index in range(data.size())]
    if not all(entry.isInt() or entry.isReal() for entry in entries):
        raise DataError(f"{path}: {key} holds something that is not a number")
    return [float(entry.real()) for entry in entries]


def write_camera(path: Path, camera: CameraModel, name: str = "camera") -> None:
    """Writes a calibration in ROS's form, which :func:`read_camera` and ROS's camera_info_manager read.

    Args:
        path: the file; one that exists is replaced as a whole.
        camera: the model.
        name: the camera's name.
    """
    kind, coefficients = ros_form(camera)
    height, width = camera.size_hw
    projection = np.column_stack([camera.rectified().matrix, np.zeros(3)])
    lines = [
        f"image_width: {width}",
        f"image_height: {height}",
        f"camera_name: {name}",
        *_matrix("camera_matrix", 3, 3, camera.matrix.ravel()),
        f"distortion_model: {kind}",
        *_matrix("distortion_coefficients", 1, len(coefficients), coefficients),
        *_matrix("rectification_matrix", 3, 3, np.eye(3).ravel()),
        *_matrix("projection_matrix", 3, 4, projection.ravel()),
    ]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ros_form(camera: CameraModel) -> tuple[str, tuple[float, ...]]:
    """Returns ROS's name of the distortion model, and its coefficients."""
    if camera.model == "fisheye":
        return "equidistant", camera.distortion or (0.0,) * 4
    kind = "plumb_bob" if len(camera.distortion) <= 5 else "rational_polynomial"
    return kind, camera.distortion or (0.0,) * 5


def _matrix(name: str, rows: int, columns: int, values: Any) -> list[str]:
    numbers = ", ".join(repr(float(value)) for value in values)
    return [f"{name}:", f"  rows: {rows}", f"  cols: {columns}", f"  data: [{numbers}]"]
