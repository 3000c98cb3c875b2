"""``edgeseg run``: its options, and the run that they describe."""
