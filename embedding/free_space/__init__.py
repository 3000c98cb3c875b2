"""Free space: how far the ground is drivable, in each column of a frame, in metres and from above.

The way of the data: classes to kinds and the first row that is not drivable (:mod:`.columns`), rows to metres
(:mod:`.road`, :mod:`.road_view`), metres to cells seen from above (:mod:`.grid`), and all of it as a finding of a
frame (:mod:`.finder`, :mod:`.finding`, :mod:`.processor`).
"""
