"""The straight line of `ecg-trainer denoiser`: read, fit, judge, write the model, report."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
import torch

from monitor.model.network import resolve
from trainer import destination, interrupt
from trainer.denoiser import artifact, fit, images, score
from trainer.denoiser import report as imagereport
from trainer.denoiser.artifact import DenoiserManifest, DenoiserModel
from trainer.denoiser.network import DenoiserConfig, dead_filters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trainer.denoiser.fit import Fit, ImageRecipe
    from trainer.denoiser.images import ImageSet
    from trainer.denoiser.score import Quality

CLASSIC = "classic"
EPOCHS = {CLASSIC: 10, "best": 2}
QUICK_TRAIN, QUICK_OTHERS = 2000, 200
VERSIONS = ("numpy", "scikit-image", "torch")


@dataclass(frozen=True, slots=True)
class DenoiserJob:
    """What a person asked for."""

    source: Path
    url: str
    out: Path
    report: Path | None
    device: str
    quick: bool


def main(order: DenoiserJob, recipe: ImageRecipe) -> DenoiserModel:
    """Train a denoiser and write it to `order.out`; with a report, the classic one beside any other.

    Raises RefusedError when the pictures, the device or the place to write to cannot be used.
    """
    torch.set_num_threads(1)  # sums in one order: same seed, same bytes
    device = resolve(order.device)
    destination.probe(order.out, None if order.report is None else order.report / "figures.json")
    recipe = replace(recipe, precision=fit.precision(recipe.config, device))
    found = _prepared(order, recipe.config.channels)
    with interrupt.heeded() as stopped:
        fits = _fits(found, recipe, order, device, stopped.is_set)
        rows = _rows(found, recipe, fits)
        table = [score.quality(name, rows["clean"], values) for name, values in list(rows.items())[1:]]
        click.echo(f"{len(rows['clean']):,} pictures to judge by, all from the same noise:\n{score.table(table)}")
        model = DenoiserModel(_only(fits).network, _manifest(found, recipe, fits, table))
        artifact.save(order.out, model)
    click.echo(f"wrote {order.out}")
    if order.report is not None:
        imagereport.write(order.report, _findings(model, rows, fits, table))
        click.echo(f"wrote pictures.png, training.png and figures.json to {order.report}")
    return model


def _fits(
    found: ImageSet, recipe: ImageRecipe, order: DenoiserJob, device: torch.device, stopped: Callable[[], bool]
) -> dict[str, Fit]:
    """The network asked for and, for a report, the classic one beside it, unless it was stopped by hand."""
    fits = {recipe.config.network: _fit(found, recipe, device, stopped)}
    if order.report is not None and recipe.config.network != CLASSIC and not stopped():
        beside = _fit(found, _classic(recipe, quick=order.quick), device, stopped)
        if beside.interrupted:
            click.echo(f"the {CLASSIC} network has not learnt enough to stand beside it, and is left out")
        else:
            fits[CLASSIC] = beside
    return fits


def _classic(recipe: ImageRecipe, *, quick: bool) -> ImageRecipe:
    """The classic network's own recipe, for the same noise and seed."""
    config = DenoiserConfig(CLASSIC, recipe.config.channels)
    return replace(recipe, config=config, epochs=1 if quick else EPOCHS[CLASSIC], precision="float32")


def _only(fits: dict[str, Fit]) -> Fit:
    return next(iter(fits.values()))


def _prepared(order: DenoiserJob, channels: int) -> ImageSet:
    found = images.read(order.source, channels, order.url)
    for note in found.notes:
        click.echo(note)
    found = found.first(QUICK_TRAIN, QUICK_OTHERS) if order.quick else found
    click.echo(
        f"{found.name}: {len(found.train):,} pictures to learn from, {len(found.validation):,} to choose the epoch by, "
        f"{len(found.test):,} to judge by"
    )
    return found


def _fit(found: ImageSet, recipe: ImageRecipe, device: torch.device, stopped: Callable[[], bool]) -> Fit:
    steps = recipe.epochs * recipe.batches(len(found.train))
    with click.progressbar(
        length=steps,
        label=f"training {recipe.config.network}",
        item_show_func=lambda loss: "" if loss is None else f"loss {loss:.5f}",
        file=sys.stderr,
        update_min_steps=max(1, steps // 1000),
    ) as bar:
        done = fit.fit(found.train, found.validation, recipe, device, lambda loss: bar.update(1, loss), stopped)
    if done.interrupted:
        click.echo(
            f"interrupted in epoch {len(done.curve)} of {recipe.epochs}: the best weights so far are kept; "
            "Ctrl-C again writes nothing"
        )
    last, best = done.curve[-1], done.curve[done.best]
    click.echo(
        f"{recipe.config.network}: validation MSE {best.validation:.5f} in epoch {done.best + 1} of {len(done.curve)}, "
        f"{last.seconds:.0f} s of computing"
    )
    _warn_of_dead(done, found, recipe)
    return done


def _warn_of_dead(done: Fit, found: ImageSet, recipe: ImageRecipe) -> None:
    _, noisy = fit.held_out(found.validation, recipe.corruption)
    dead = dead_filters(done.network, noisy) if recipe.config.network == CLASSIC else 0
    if dead:
        click.echo(f"{dead} of its 48 ReLU filters never fire: another --seed may come out better")


def _rows(found: ImageSet, recipe: ImageRecipe, fits: dict[str, Fit]) -> dict[str, NDArray[np.float32]]:
    """Clean, noisy and denoised test pictures; what is denoised is always the noisy one."""
    clean, noisy = fit.held_out(found.test, recipe.corruption)
    rows = {"clean": clean.numpy(), "noisy": noisy.numpy(), "median 3 x 3": score.median(noisy.numpy())}
    for name in sorted(fits, key=lambda name: name != CLASSIC):
        rows[name] = fit.denoised(fits[name].network, noisy).numpy()
    return rows


def _manifest(found: ImageSet, recipe: ImageRecipe, fits: dict[str, Fit], table: list[Quality]) -> DenoiserManifest:
    """Nothing of the network that is trained beside it: with a report or without, the same file."""
    done = _only(fits)
    return DenoiserManifest(
        kind=artifact.KIND,
        schema=1,
        digest=artifact.UNSEALED,
        network=recipe.config,
        noise=recipe.corruption,
        data={
            "name": found.name, "fingerprint": found.fingerprint,
            "train": len(found.train), "validation": len(found.validation), "test": len(found.test),
        },
        training={
            "epochs": recipe.epochs, "epochs_begun": len(done.curve), "best_epoch": done.best + 1,
            "interrupted": "yes" if done.interrupted else "no", "seed": recipe.seed, "batch": recipe.batch,
            "learning_rate": recipe.learning_rate, "precision": recipe.precision,
            "validation_mse": done.curve[done.best].validation,
        },
        evaluation=tuple(row for row in table if row.method not in fits or row.method == recipe.config.network),
        versions={name: version(name) for name in VERSIONS},
    )  # fmt: skip


def _findings(
    model: DenoiserModel, rows: dict[str, NDArray[np.float32]], fits: dict[str, Fit], table: list[Quality]
) -> imagereport.Findings:
    manifest = model.manifest
    facts = {
        "network": manifest.network.network, "channels": manifest.network.channels, "noise": str(manifest.noise),
        "weights": sum(weight.numel() for weight in model.network.parameters()),
        **{f"data_{key}": value for key, value in manifest.data.items()}, **manifest.training,
    }  # fmt: skip
    title = f"{manifest.data['name']}, {manifest.noise.kind} noise {manifest.noise.level:g}"
    return imagereport.Findings(title, rows, fits, table, facts)
