"""Recordings: what a run saw and said, kept so that it can be run again and compared."""
