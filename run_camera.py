#!/usr/bin/env python3
"""Front door: ``python run_camera.py …`` is ``edgeseg run …``."""

import sys

from edgeseg.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("run", sys.argv[1:], prog="run_camera.py"))
