"""INT8: activation ranges from a calibration set, Q/DQ placement for each target, and a search within a budget."""
