"""Camera files: as ROS and OpenCV write them, written and read back, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import DataError
from edgeseg.embedding.camera.file import read_camera, write_camera
from edgeseg.embedding.camera.model import CameraModel

from .test_model import CAMERAS

ROS = """image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.783367, 0.0, 305.593336, 0.0, 437.302876, 243.738352, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera.yaml"


def test_a_file_of_ros_is_read(path: Path) -> None:
    path.write_text(ROS)
    camera = read_camera(path)
    assert camera == CameraModel(
        (480, 640),
        438.783367,
        437.302876,
        305.593336,
        243.738352,
        (-0.361976, 0.11051, 0.001014, 0.000505, 0.0),
    )


@pytest.mark.parametrize("fisheye", [False, True])
def test_a_file_of_opencv_is_read(path: Path, fisheye: bool) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("fisheye_model", int(fisheye))
    storage.write("camera_matrix", np.array([[400.0, 0, 320], [0, 401, 240], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.array([[0.1, -0.2, 0.003, 0.004]]))
    storage.release()
    assert read_camera(path) == CameraModel(
        (480, 640), 400.0, 401.0, 320.0, 240.0, (0.1, -0.2, 0.003, 0.004), "fisheye" if fisheye else "brown"
    )


@pytest.mark.parametrize("name", CAMERAS)
def test_what_is_written_is_read(path: Path, name: str) -> None:
    write_camera(path, CAMERAS[name], name)
    read = read_camera(path)
    assert read.rays(np.array([[3.0, 4.0]])) == pytest.approx(CAMERAS[name].rays(np.array([[3.0, 4.0]])))
    assert (read.matrix == CAMERAS[name].matrix).all()
    assert read.model == CAMERAS[name].model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("image_width: 640\n", ""), "has no number image_width"),
        (("image_height: 480", "image_height: tall"), "has no number image_height"),
        (
            ("distortion_model: plumb_bob", "distortion_model: mirror"),
            "distortion_model 'mirror'; expected one of plumb",
        ),
        (("438.783367, 0.0, 305", "438.783367, 2.5, 305"), "a skew of 2.5"),
        (("[438.783367, 0.0,", "[438.783367, x,"), "camera_matrix holds something that is not a number"),
        (("[438.783367,", "["), "camera_matrix has 8 numbers; expected 9"),
        (("438.783367", "-438.783367"), "focal lengths of -438.783 and"),
        (("  data: [438", "  values: [438"), "has no matrix camera_matrix"),
        (("camera_matrix:", "camera_matrix: [[{"), "is not YAML of a camera's calibration"),
    ],
)
def test_a_damaged_file_is_refused(path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in ROS
    path.write_text(ROS.replace(*change, 1))
    with pytest.raises(DataError, match=message) as caught:
        read_camera(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_refused(path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the camera's calibration .*: No such file"):
        read_camera(path)
