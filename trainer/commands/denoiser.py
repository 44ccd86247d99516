"""The command `denoiser`: train an image denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Train an image denoiser and write its model file.")
@click.option(
    "--data", type=options.FOLDER, required=True, metavar="FOLDER",
    help="A folder with Fashion-MNIST's IDX files (downloaded if the folder is empty or new), or with PNG pictures.",
)  # fmt: skip
@click.option("--from", "url", metavar="URL", help="Download Fashion-MNIST from here instead of its official address.")
@click.option(
    "--network", type=click.Choice(["classic", "best"]), default="best", show_default=True,
    help="classic: five plain layers; best: a residual U-Net.",
)  # fmt: skip
@click.option(
    "--noise", default="gaussian:0.2", show_default=True, metavar="KIND:LEVEL",
    help="Noise to remove: gaussian:S (standard deviation S; white is 1) or dropout:P (share P of values lost).",
)  # fmt: skip
@click.option("--channels", type=click.Choice(["1", "3"]), default="1", show_default=True, help="1 = grey, 3 = colour.")
@click.option(
    "--epochs", type=click.IntRange(1, 10_000), help="Passes over the pictures [default: classic 10, best 2]."
)
@options.model_to_write
@click.option("--report", type=options.FOLDER, help="Also write pictures and figures into this folder.")
@options.seed
@options.device
@click.option("--quick", is_flag=True, help="Use 2,000 pictures and 1 epoch, to try the command out.")
def denoiser(
    *, data: Path, url: str | None, network: str, noise: str, channels: str, epochs: int | None, out: Path,
    report: Path | None, seed: int, device: str, quick: bool,
) -> None:  # fmt: skip
    """Train an image denoiser and write its model file.

    It is compared with simpler methods. With --report, the classic network is trained too and is in the same table.
    Ctrl-C ends the training early and keeps the best weights so far.
    """
    options.require_library("skimage")
    from trainer.denoiser import fashion_mnist, job
    from trainer.denoiser.network import DenoiserConfig
    from trainer.denoiser.noise import corruption
    from trainer.denoiser.training import ImageRecipe

    recipe = ImageRecipe(
        DenoiserConfig(network, int(channels)),
        corruption(noise),
        epochs or (1 if quick else job.EPOCHS[network]),
        seed,
    )
    job.run(job.DenoiserJob(data, url or fashion_mnist.OFFICIAL_URL, out, report, device, quick), recipe)
