"""Command-line options that several commands share, and the parsing of what a person types into them.

This module is imported by every command, so it must not import torch or any other slow library.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

import click

from monitor.errors import RefusedError

PATH = click.Path(path_type=Path)
FILE_TO_WRITE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)

false_alarm_rate = click.option(
    "--false-alarm-rate", type=SHARE,
    help="Budget: the largest share of normal beats that may be flagged by mistake "
    "[default: 0.02 with enough normal beats (at the default confidence: 708 or more), otherwise 0.05].",
)  # fmt: skip
confidence = click.option(
    "--confidence", type=SHARE, default=0.9, show_default=True, help="Probability that the budget is kept."
)
lead = click.option(
    "--lead", "leads", multiple=True, metavar="NAME|NUMBER",
    help="Lead of the recordings to use; may be given several times [default: MLII or II, or else the first lead].",
)  # fmt: skip
hz = click.option("--hz", type=click.FloatRange(0, min_open=True), help="Samples a second, for CSV recordings.")
unit = click.option("--unit", help="Unit of the samples (mV, uV, V, adc/N), where the recordings do not say it.")
model_to_write = click.option("--out", type=FILE_TO_WRITE, required=True, help="Model file to write.")
seed = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
    help="Seed of the random numbers; the same seed gives the same file.",
)  # fmt: skip
device = click.option("--device", default="cpu", show_default=True, help="Where to train: auto, cpu, cuda or cuda:N.")
normal_label = click.option(
    "--normal-label", "normal_labels", multiple=True, metavar="LABEL",
    help="The label that means normal, a number or a word; may be given several times "
    "[default: 1 where labels are numbers; N or normal where they are words].",
)  # fmt: skip
resample = click.option(
    "--resample", is_flag=True, help="Stretch beats of another length to 140 samples. Cut them in one way everywhere."
)


def number(text: str) -> float:
    """The number in a text; NaN if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def require_library(name: str) -> None:
    """Raises RefusedError, which names the extra to install, if the library `name` is not installed.

    It is only looked for, since importing it takes seconds.
    """
    if find_spec(name) is None:
        raise RefusedError(f"{name} is not installed: pip install 'ecg-monitor[trainer]'")
