"""Recordings: the frames and results of a run, kept so that it can be run again and compared."""
