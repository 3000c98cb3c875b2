"""The camera: its model, its calibration from images of a chessboard, and the file that keeps it."""
