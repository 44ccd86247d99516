"""Describes the machine of a measurement, so that its figures can be understood later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.run import APART, python_of

PACKAGES = (
    "ecg-monitor",
    "kafka-python",
    "confluent-kafka",
    "bytewax",
    "quixstreams",
    "faust-streaming",
    "aiokafka",
    "numpy",
    "torch",
    "orjson",
)
TICKS = os.sysconf("SC_CLK_TCK")
_ASK = f"""
import importlib.metadata as m, json
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({{name: version(name) for name in {PACKAGES!r}}}))
"""


def use_cores(count: int) -> list[int]:
    """Limit this process and its children, including the broker, to a number of cores. Return these cores."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, cores)
    return cores


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, in all its threads."""
    times = _stat(Path(f"/proc/{pid}/stat"))[11:13]
    return sum(map(int, times)) / TICKS


def child(name: str) -> int | None:
    """The id of the child process with this name."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            is_ours, text = int(_stat(path)[1]) == os.getpid(), path.read_text()
        except OSError:  # it has ended
            continue
        if is_ours and f"({name})" in text:
            return int(path.parent.name)
    return None


def _stat(path: Path) -> list[str]:
    """The fields from the state on. The name before them can contain spaces."""
    return path.read_text().rsplit(")", 1)[1].split()


def describe() -> dict[str, object]:
    cpu = _field("/proc/cpuinfo", "model name")
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu or platform.processor() or platform.machine(),
        "cores used": len(os.sched_getaffinity(0)),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": [round(load, 2) for load in os.getloadavg()],
        "kafka": _kafka(),
        "packages": _packages(python_of("monitor")),
        "packages apart": _packages(str(APART)),
    }


def _field(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _kafka() -> str:
    if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return f"at {address}, version unknown"
    libs = (Path(os.environ["KAFKA_HOME"]) / "libs").glob("kafka-clients-*.jar")
    return next((lib.stem.removeprefix("kafka-clients-") for lib in libs), "unknown")


def _packages(python: str) -> dict[str, str]:
    try:
        asked = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {name: version for name, version in json.loads(asked.stdout).items() if version}
