"""The link to an autopilot over MAVLink 2: what edgeseg tells it, and what it asks of it.

What is sent is made by pure functions (:mod:`.landing_target`), which need no MAVLink library. pymavlink's dialect
module, from the extra ``mavlink``, packs and reads the messages.
"""
