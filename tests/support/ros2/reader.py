"""Opens a source in a process with ROS 2 and prints a line of JSON for each frame: ``reader.py URI``.

The seconds to wait for a frame and for the opening may follow.
"""

from __future__ import annotations

import json
import logging
import sys

from edgeseg import now, open_source
from edgeseg.core.errors import EdgesegError
from edgeseg.runtime.sources.live import LiveOptions


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    read_s, open_s = (float(text) for text in (sys.argv[2:] + ["10", "20"][len(sys.argv) - 2 :]))
    try:
        source = open_source(sys.argv[1], LiveOptions(open_timeout_s=open_s, read_timeout_s=read_s))
    except EdgesegError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    with source:
        print("ready", flush=True)
        while (frame := source.read()) is not None:
            facts = {
                "size_hw": frame.shape[:2],
                "name": source.frame_name,
                "fault": source.frame_fault,
                "age_s": now() - source.frame_at,
                "reconnects": source.reconnects,
                "columns": frame[-1, [0, frame.shape[1] // 2, -1]].tolist(),
            }
            print(json.dumps(facts), flush=True)


main()
