"""From pixels to a vehicle: camera geometry, landing spots, free space, and the links that are told of them.

The way of the data: a class map and the pose of the camera at its capture time (:mod:`.camera`, :mod:`.pose`) become
rays on flat ground (:mod:`.ground`). From these come a spot to land on (:mod:`.landing`) or the free space of a road
vehicle (:mod:`.free_space`); :mod:`.stability` smooths the class map before. An autopilot gives the pose and is told
what was found (:mod:`.mavlink`), and robots read it as topics (:mod:`.ros2`). `c/` has the runtime for C.
"""
