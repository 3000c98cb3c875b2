#!/usr/bin/env python3
"""Front door: ``python export.py …`` is ``edgeseg export …``."""

import sys

from edgeseg.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("export", sys.argv[1:], prog="export.py"))
