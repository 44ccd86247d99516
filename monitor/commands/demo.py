"""The command `demo`: the whole monitor on one machine, without Kafka."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with ECG5000.  [default: download it]")
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    help="Folder with records of the MIT-BIH database.  [default: mitdb in the folder ECG_DATA, else download them]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for the data, the models, the logs and the picture.",
)
def demo(data: Path | None, recordings: Path | None, out: Path) -> None:
    """Run the whole monitor on this machine, without Kafka.

    Trains a model on ECG5000, starts a small broker and a monitor, publishes 20,000 beats, and compares the alerts with
    labels that the monitor does not read. Then trains one on recordings of 16 people, plays those of 5 others, and
    compares the alarms with their annotations. Where no recordings can be had, it says so and ends.

    Needs the extra `demo`: pip install 'ecg-monitor[demo]'.
    """
    from monitor.demo import demo as demonstration  # noqa: PLC0415 - its imports need not slow down other commands

    sys.exit(demonstration.run(data, recordings, out))
