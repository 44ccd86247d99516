"""Looks for known vulnerabilities in the packages of `constraints.txt`: `python -m deploy.audit`. Needs network access.

Exit code 0: every pin was looked up and none is known to be vulnerable; 1: some are; 2: not every pin could be looked
up, for which pip-audit itself reports "no known vulnerabilities found".
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PINS = Path(__file__).parents[1] / "constraints.txt"
TOOL = "pip-audit==2.10.1"  # in its own environment, because it has a dozen dependencies that nothing else needs


def judge(report: str) -> tuple[int, str]:
    """The exit code and message for pip-audit's JSON, which is empty if the advisories could not be read."""
    pins = json.loads(report)["dependencies"] if report.strip() else []
    vulnerable = {pin["name"]: [one["id"] for one in pin["vulns"]] for pin in pins if pin.get("vulns")}
    if vulnerable:
        return 1, "; ".join(f"{name}: {', '.join(ids)}" for name, ids in vulnerable.items())
    missing = sum("skip_reason" in pin for pin in pins)
    if missing or not pins:
        return 2, f"advisories were found for {len(pins) - missing} of {len(pins)} pins: the others were not checked"
    return 0, f"none of {len(pins)} pins is known to be vulnerable"


def report() -> str:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", TOOL], check=False)  # noqa: S603 - our own words
        options = ["--progress-spinner=off", "--disable-pip", "--no-deps", "--format=json", f"--requirement={PINS}"]
        command = [python, "-m", "pip_audit", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - as above


if __name__ == "__main__":
    code, sentence = judge(report())
    sys.stdout.write(f"{sentence}\n")
    sys.exit(code)
