"""The command `demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with ECG5000 [default: fetched].")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
def demo(data: Path | None, out: Path) -> None:
    """Train, publish 20,000 beats to an embedded broker, watch them, and sum up against the labels."""
    from monitor.demo import demo as show  # noqa: PLC0415 - needs the extras `trainer` and `embedded`

    sys.exit(show.main(data, out))
