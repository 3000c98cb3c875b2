"""Landing: hazards on the ground in metres, and the spot that is clear of them.

The way of the data: class to hazard (:mod:`.hazards`), hazards in a map of the ground (:mod:`.hazard_map`), the map to
a choice (:mod:`.finder`), and the choice as a finding of a frame (:mod:`.spot`, :mod:`.processor`).
"""
