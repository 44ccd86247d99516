"""`make bench`: contenders run in turn, several rounds. The results are ratios of medians of one run."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import click

from bench import latency, memory, profiling, scale, throughput
from bench.environment import BenchInputs
from monitor.errors import MonitorError

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
@click.option(
    "--model", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="Model file."
)
@click.option("--data", type=FOLDER, required=True, help="Folder with ECG5000_TEST.tsv.")
@click.option("--out", type=FOLDER, default=Path("demo/bench"), show_default=True, help="For tables and pictures.")
@click.option("--cores", default=2, show_default=True, help="Cores for everything, a broker of our own included.")
@click.pass_context
def main(context: click.Context, model: Path, data: Path, out: Path, cores: int) -> None:
    """Measure this monitor beside its peers, on Apache Kafka (KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no broker or contender is left behind
    context.obj = BenchInputs(model, data / "ECG5000_TEST.tsv", out, cores)


for command in (throughput.command, latency.command, scale.command, memory.command, profiling.command):
    main.add_command(command)

if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
