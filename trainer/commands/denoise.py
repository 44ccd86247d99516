"""The command `denoise`: remove noise from a person's own pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.option("--model", type=options.PATH, required=True, help="Model file that `ecg-trainer denoiser` wrote.")
@click.option("--out", type=options.PATH, required=True, help="Folder to write the denoised pictures into.")
@click.argument("pictures", type=options.PATH, nargs=-1, required=True, metavar="PICTURE.png…")
def denoise(model: Path, out: Path, pictures: tuple[Path, ...]) -> None:
    """Remove noise from PNG pictures of any size, grey or colour. Each picture keeps its file name."""
    options.require_library("skimage")
    from trainer.denoiser import tiles

    tiles.denoise_files(model, pictures, out)
