"""Measurements of accuracy and speed, ours and our peers'; their results are committed under docs/results/."""
