"""Measurements against labels, clocks and peers; what they print is committed under docs/results/."""
