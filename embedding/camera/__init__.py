"""The camera: its model, its calibration from pictures of a chessboard, and the file that keeps it."""
