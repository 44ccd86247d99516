"""Runs one contender: `python -m bench.contender NAME` reads the case from stdin and prints the result."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.case import Case, Meter
from bench.contenders import CONTENDERS

if TYPE_CHECKING:
    from bench.case import BenchResult

MARK = "result: "


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    case = Case.from_json(sys.stdin.read())
    contender = CONTENDERS[sys.argv[1]]
    importlib.import_module(f"bench.contenders.{contender.module}").judge(case, Meter(case, report))


def report(result: BenchResult) -> None:
    """Print the result and end the process: not all frameworks can be stopped from within."""
    print(MARK + json.dumps(asdict(result)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
