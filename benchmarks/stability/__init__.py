"""Measures how much class maps flicker, and what smoothing them over time brings: on the aerial world and on videos."""
