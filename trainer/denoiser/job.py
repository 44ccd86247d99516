"""The work of `ecg-trainer denoiser`: read the pictures, train, measure, write the model and the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
import torch

from monitor.model.device import resolve
from monitor.terminal import count_of
from trainer import destination, interrupt, progress
from trainer.denoiser import artifact, images, report, score, training
from trainer.denoiser.artifact import DenoiserManifest, DenoiserModel
from trainer.denoiser.network import DenoiserConfig, dead_filters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trainer.denoiser.images import ImageSet
    from trainer.denoiser.score import Quality
    from trainer.denoiser.training import Fit, ImageRecipe

CLASSIC = "classic"
EPOCHS = {CLASSIC: 10, "best": 2}
QUICK_TRAIN, QUICK_OTHERS = 2000, 200  # pictures in the parts with --quick
VERSIONS = ("numpy", "scikit-image", "torch")


@dataclass(frozen=True, slots=True)
class DenoiserJob:
    """Where the pictures come from, what to write, and where to compute. `url` is used if the folder is empty."""

    source: Path
    url: str
    out: Path
    report: Path | None
    device: str
    quick: bool


def run(job: DenoiserJob, recipe: ImageRecipe) -> DenoiserModel:
    """Train a denoiser and write it to `job.out`. For a report the classic network is trained as well.

    Raises RefusedError if the pictures, the device or the output files cannot be used.
    """
    torch.set_num_threads(1)  # sums are added in one fixed order, so the same seed gives the same bytes
    device = torch.device(resolve(job.device))
    destination.probe(job.out, None if job.report is None else job.report / "figures.json")
    recipe = replace(recipe, precision=training.precision(recipe.config, device))
    pictures = _prepared(job, recipe.config.channels)
    with interrupt.first_ctrl_c() as stopped:
        fits = _fits(pictures, recipe, job, device, stopped.is_set)
        with progress.phase("test"):
            rows = _rows(pictures, recipe, fits)
            table = [score.quality(name, rows["clean"], values) for name, values in list(rows.items())[1:]]
        click.echo(f"Tested on {count_of(len(rows['clean']), 'picture')}; each method gets the same noisy ones:")
        click.echo(score.table(table))
        model = DenoiserModel(_first(fits).network, _manifest(pictures, recipe, fits, table))
        artifact.save(job.out, model)
    click.echo(f"wrote {job.out}")
    if job.report is not None:
        report.write(job.report, _findings(model, rows, fits, table))
        click.echo(f"wrote pictures.png, training.png and figures.json to {job.report}")
    return model


def _fits(
    pictures: ImageSet, recipe: ImageRecipe, job: DenoiserJob, device: torch.device, stopped: Callable[[], bool]
) -> dict[str, Fit]:
    """The trained networks by name: first the one that was asked for, then the classic one if a report is wanted.

    The classic network is left out if the training was interrupted.
    """
    fits = {recipe.config.network: _fit(pictures, recipe, device, stopped)}
    if job.report is not None and recipe.config.network != CLASSIC and not stopped():
        classic = _fit(pictures, _classic(recipe, quick=job.quick), device, stopped)
        if classic.interrupted:
            click.echo(f"the training of the {CLASSIC} network was interrupted, so it is left out of the table")
        else:
            fits[CLASSIC] = classic
    return fits


def _classic(recipe: ImageRecipe, *, quick: bool) -> ImageRecipe:
    """The recipe of the classic network, for the same noise and seed."""
    config = DenoiserConfig(CLASSIC, recipe.config.channels)
    return replace(recipe, config=config, epochs=1 if quick else EPOCHS[CLASSIC], precision="float32")


def _first(fits: dict[str, Fit]) -> Fit:
    """The network that was asked for."""
    return next(iter(fits.values()))


def _prepared(job: DenoiserJob, channels: int) -> ImageSet:
    pictures = images.read(job.source, channels, job.url)
    images.refuse_plain(job.source, pictures)
    for note in pictures.notes:
        click.echo(note)
    pictures = pictures.first(QUICK_TRAIN, QUICK_OTHERS) if job.quick else pictures
    click.echo(
        f"{pictures.name}: {count_of(len(pictures.train), 'picture')} to train on, {len(pictures.validation):,} to "
        f"choose the best epoch by, {len(pictures.test):,} to test on"
    )
    return pictures


def _fit(pictures: ImageSet, recipe: ImageRecipe, device: torch.device, stopped: Callable[[], bool]) -> Fit:
    steps = recipe.epochs * recipe.batches(len(pictures.train))
    with progress.phase(f"training {recipe.config.network}", steps, "batch") as tick:
        fit = training.fit(
            pictures.train, pictures.validation, recipe, device, lambda loss: tick(f"loss {loss:.5f}"), stopped
        )
    if fit.interrupted:
        click.echo(
            f"training interrupted in epoch {len(fit.curve)} of {recipe.epochs}: the best weights so far are kept; "
            "press Ctrl-C again to write nothing"
        )
    last, best = fit.curve[-1], fit.curve[fit.best]
    click.echo(
        f"{recipe.config.network}: the best epoch is {fit.best + 1} of {len(fit.curve)}, with a mean square error of "
        f"{best.validation:.5f} on the validation pictures; {last.seconds:.0f} s of computing time"
    )
    _warn_of_dead_filters(fit, pictures, recipe)
    return fit


def _warn_of_dead_filters(fit: Fit, pictures: ImageSet, recipe: ImageRecipe) -> None:
    _, noisy = training.held_out(pictures.validation, recipe.corruption)
    dead = dead_filters(fit.network, noisy) if recipe.config.network == CLASSIC else 0
    if dead:
        click.echo(f"{dead} of its 48 ReLU filters always give 0: another --seed may give a better network")


def _rows(pictures: ImageSet, recipe: ImageRecipe, fits: dict[str, Fit]) -> dict[str, NDArray[np.float32]]:
    """The test pictures (n, c, h, w): clean, noisy, and as each method makes them from the noisy ones."""
    clean, noisy = training.held_out(pictures.test, recipe.corruption)
    rows = {"clean": clean.numpy(), "noisy": noisy.numpy(), "median 3 x 3": score.median(noisy.numpy())}
    for name in sorted(fits, key=lambda name: name != CLASSIC):
        rows[name] = training.denoised(fits[name].network, noisy).numpy()
    return rows


def _manifest(pictures: ImageSet, recipe: ImageRecipe, fits: dict[str, Fit], table: list[Quality]) -> DenoiserManifest:
    """What the model file says. A network that was trained for the report only is left out of it."""
    fit = _first(fits)
    return DenoiserManifest(
        kind=artifact.KIND,
        schema=1,
        digest=artifact.UNSEALED,
        network=recipe.config,
        noise=recipe.corruption,
        data={
            "name": pictures.name, "fingerprint": pictures.fingerprint,
            "train": len(pictures.train), "validation": len(pictures.validation), "test": len(pictures.test),
        },
        training={
            "epochs": recipe.epochs, "epochs_begun": len(fit.curve), "best_epoch": fit.best + 1,
            "interrupted": "yes" if fit.interrupted else "no", "seed": recipe.seed, "batch": recipe.batch,
            "learning_rate": recipe.learning_rate, "precision": recipe.precision,
            "validation_mse": fit.curve[fit.best].validation,
        },
        evaluation=tuple(row for row in table if row.method not in fits or row.method == recipe.config.network),
        versions={name: version(name) for name in VERSIONS},
    )  # fmt: skip


def _findings(
    model: DenoiserModel, rows: dict[str, NDArray[np.float32]], fits: dict[str, Fit], table: list[Quality]
) -> report.Findings:
    """What the report shows."""
    manifest = model.manifest
    facts = {
        "network": manifest.network.network, "channels": manifest.network.channels, "noise": str(manifest.noise),
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        **{f"data_{key}": value for key, value in manifest.data.items()}, **manifest.training,
    }  # fmt: skip
    title = f"{manifest.data['name']}, {manifest.noise.kind} noise {manifest.noise.level:g}"
    return report.Findings(title, rows, fits, table, facts)
