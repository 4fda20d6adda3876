"""`freud doctor`: check this machine, and the files of a result."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from freud.cli.options import Json, Maybe
from freud.cli.output import print_json


def main(path: tyro.conf.Positional[Maybe[Path]] = None, json: Json = False) -> None:
    """Check this machine, and every file of the results under a folder against what was written.

    Args:
        path: Folder to check; without it, only the machine.
        json: Print JSON.
    """
    import freud

    checks = freud.doctor(path)
    if json:
        print_json(checks)
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
    if not all(check.ok for check in checks):
        sys.exit(1)
