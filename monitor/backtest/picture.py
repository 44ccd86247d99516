"""A picture of what each sensitivity costs and finds. matplotlib comes with the extra `trainer`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from monitor.backtest.counting import bootstrap, total
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.backtest.counting import Counted

SUFFIXES = (".png", ".svg", ".pdf")
HOURS_PER_DAY = 24


def check(path: Path) -> None:
    """Raise RefusedError where no picture can be written: before any work, not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise RefusedError(f"{path}: a picture is called {', '.join(f'*{suffix}' for suffix in SUFFIXES)}")
    if not path.parent.is_dir():
        raise RefusedError(f"{path}: the folder {path.parent} is missing: make it first")
    if find_spec("matplotlib") is None:
        raise RefusedError(f"{path}: a picture needs the package matplotlib: pip install 'ecg-monitor[trainer]'")


def draw(path: Path, names: Sequence[str], parts: Sequence[Sequence[Counted]]) -> None:
    """Draw false openings per bed and day against the share of runs found, a point for each sensitivity.

    `names`: the sensitivities; `parts`: of each recording with annotations what came of each of them. Raises
    RefusedError where no run can be found, and for a file that cannot be written.
    """
    runs = sum(part[0].runs for part in parts)
    if not runs:
        raise RefusedError(f"{path}: is not drawn: no judged recording has annotated runs of three ventricular beats")
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes half a second, and is not always installed

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(names):
        one = [part[number] for part in parts]
        rate = bootstrap(one, lambda part: HOURS_PER_DAY * part.false / part.hours)
        found = total(one).found
        reach = [[rate.value - rate.low], [rate.high - rate.value]]
        axes.errorbar([rate.value], [100 * found / runs], xerr=reach, fmt="o", capsize=4)
        axes.annotate(
            f"{name}: {found} of {runs}", (rate.value, 100 * found / runs), (6, 8), textcoords="offset points"
        )
    axes.set(xlabel="false openings per bed and day, with 90 % range over recordings", ylabel="runs found, %")
    axes.set(xlim=(0, None), ylim=(-5, 110), title=f"{total([part[0] for part in parts]).hours:.1f} h judged")
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror or error}") from error
