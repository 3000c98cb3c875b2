"""Reasons for no finding that several findings share.

Reasons are part of the interface: words are added, never changed.
"""

NO_ATTITUDE = "no-attitude"
NO_HEIGHT = "no-height"
NO_POSITION = "no-position"
NO_POSE = "no-pose"
CAMERA_MISMATCH = "camera-mismatch"

MEANING = {
    NO_ATTITUDE: "no attitude from the time of the frame",
    NO_HEIGHT: "no height from the time of the frame",
    NO_POSITION: "no position from the time of the frame",
    NO_POSE: "no pose from the time of the frame",
    CAMERA_MISMATCH: "the frames have another aspect ratio than the camera's calibration",
}
"""The meaning of each reason, as text."""
