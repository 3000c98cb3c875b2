"""From pixels to a vehicle: camera geometry, landing spots, and what an autopilot is told.

The way of the data: a class map and the pose of the camera at its capture time (:mod:`.pose`, :mod:`.ground`) become
a map of hazards on the ground in metres (:mod:`.hazard_map`), and the map gives a spot to land on (:mod:`.landing`).
For a road vehicle they become its free space (:mod:`.free_space`). An autopilot gives the pose and is told what was
found (:mod:`.mavlink`).
"""
