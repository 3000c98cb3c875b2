"""ROS 2: results as topics of a managed node, and topics as sources of frames.

The way of a result: :mod:`.sink` gets it, :mod:`.node` holds the node and its thread, :mod:`.topics` the publishers,
and :mod:`.messages` and :mod:`.diagnostics` make the messages. The way of a frame: :mod:`.source` gets a message and
:mod:`.images` makes a frame of it. :mod:`.library` loads ROS's own Python packages from the environment.
"""
