"""``edgeseg doctor``: a report on this machine, with what is missing and the commands that install it."""

from __future__ import annotations

import argparse
import json
import os
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg doctor``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for scripts")


def run(args: argparse.Namespace) -> int:
    """Examines this machine and prints the findings; returns 0 in all cases."""
    from ..apps.doctor.examine import examine
    from ..apps.doctor.host import Host
    from ..apps.doctor.report import as_json, as_text

    findings = examine(Host())
    if args.json:
        print(json.dumps(as_json(findings), indent=2))
    else:
        print(as_text(findings, coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0
