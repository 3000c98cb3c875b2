"""Video files: decoding, the time of each frame, and the count of missing frames."""
