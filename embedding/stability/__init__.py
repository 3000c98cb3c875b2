"""Stability: class maps that flicker less, because each is averaged with those before it along the motion.

The way of the data: the motion between two frames (:mod:`.motion`), the average along it (:mod:`.evidence`,
:mod:`.stabiliser`), and the smoothed map as a frame's result (:mod:`.processor`).
"""
