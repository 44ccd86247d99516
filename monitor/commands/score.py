"""The command `score`: scores for the beats of files, without Kafka."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import orjson

from monitor import api, settings
from monitor.beats import beat_file
from monitor.commands import count_of, show
from monitor.errors import RefusedError
from monitor.terminal import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from monitor.api import ScoreResult, ScoringModel
    from monitor.beats.beat_file import BeatFile
    from monitor.settings import Settings

CHUNK_BEATS = 4096  # scored and printed at once
CSV_HEADER = "file,row,score,p_value,abnormal,cause"
TABLE_HEADER = f"{'row':>7}  {'score':>9}  {'p-value':>9}  verdict"


@dataclass(frozen=True, slots=True)
class BeatRow:
    """One beat of a file and what the model says about it. `row` counts the beats of the file from 1."""

    file: str
    row: int
    score: float | None  # None, as the next two, where the beat cannot be scored
    p_value: float | None
    abnormal: bool | None
    cause: str


@dataclass(slots=True)
class ScoreCounts:
    """Beats of all files; `flagged` are those above the threshold. What is labelled is counted apart."""

    beats: int = 0
    flagged: int = 0
    unscored: int = 0
    abnormal: int = 0  # by their labels
    abnormal_flagged: int = 0
    normal: int = 0  # by their labels
    normal_flagged: int = 0

    def add(self, result: ScoreResult, is_abnormal: NDArray[np.bool_] | None) -> None:
        """Count beats (n,) with their labels, which are None in a file without labels."""
        self.beats += len(result)
        self.flagged += int(result.abnormal.sum())
        self.unscored += int(np.isnan(result.score).sum())
        if is_abnormal is not None:
            self.abnormal += int(is_abnormal.sum())
            self.abnormal_flagged += int(result.abnormal[is_abnormal].sum())
            self.normal += int((~is_abnormal).sum())
            self.normal_flagged += int(result.abnormal[~is_abnormal].sum())

    def summary(self, threshold: float) -> Iterator[str]:
        """Lines of text for people."""
        unscored = f", {self.unscored} without a score" if self.unscored else ""
        yield f"{count_of(self.beats, 'beat')}: {self.flagged} abnormal (score above {threshold:g}){unscored}"
        for name, flagged, total, kind in (
            ("recall", self.abnormal_flagged, self.abnormal, "abnormal"),
            ("false-alarm rate", self.normal_flagged, self.normal, "normal"),
        ):
            if total:
                share = flagged / total
                yield f"{name}: {share:.4f} ({flagged} of {total} labelled {kind} lie above the threshold)"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--model", type=click.Path(path_type=Path), help="Model file.  [default: MONITOR_MODEL]")
@click.option(
    "--threshold", type=float, help="Higher scores are abnormal.  [default: MONITOR_THRESHOLD, or the model's]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each beat.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header line.")
def score(files: tuple[Path, ...], model: Path | None, threshold: float | None, *, as_json: bool, as_csv: bool) -> None:
    """Score the beats of files with a model, without Kafka.

    FILE... is ECG5000 (.txt, .tsv or .csv), or your own .csv or .npy: one beat in each row, 140 samples and an optional
    label. Prints one row for each beat, and a summary at the end. If the files have labels, the summary
    compares the verdicts with them. With --json and --csv the summary goes to standard error.
    """
    if as_json and as_csv:
        raise click.UsageError("give one of --json and --csv")
    if threshold is not None and not (threshold > 0 and math.isfinite(threshold)):
        raise RefusedError(f"the threshold is {threshold:g}, where a number above 0 is expected")
    form = "json" if as_json else "csv" if as_csv else None
    config = settings.read()
    scoring = _load(config, model)
    used = threshold if threshold is not None else config.threshold
    counts = ScoreCounts()
    for number, file in enumerate(files):
        beats, name = beat_file.read(file), click.format_filename(file)
        if form is None:
            show(f"{printable(name)}\n{TABLE_HEADER}" if len(files) > 1 else TABLE_HEADER)
        elif form == "csv" and number == 0:
            show(CSV_HEADER)
        for start, result in _results(beats, scoring, used, counts):
            show("\n".join(map(_FORMATS[form], _rows(name, start, result))))
    for line in counts.summary(scoring.threshold if used is None else used):
        show(line, err=form is not None)


def _load(config: Settings, model: Path | None) -> ScoringModel:
    try:
        return api.load_model(model or config.model, config.device)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _results(
    beats: BeatFile, model: ScoringModel, threshold: float | None, counts: ScoreCounts
) -> Iterator[tuple[int, ScoreResult]]:
    """The first row (from 0) and the results of each chunk. Raises RefusedError for a threshold that is not one."""
    for start in range(0, len(beats.samples), CHUNK_BEATS):
        chunk = slice(start, start + CHUNK_BEATS)
        try:
            result = model.score(beats.samples[chunk], threshold)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        counts.add(result, None if beats.abnormal is None else beats.abnormal[chunk])
        yield start, result


def _rows(file: str, start: int, result: ScoreResult) -> Iterator[BeatRow]:
    columns: list[list[Any]] = [
        column.tolist() for column in (result.score, result.p_value, result.abnormal, result.cause)
    ]
    for row, (value, p_value, abnormal, cause) in enumerate(zip(*columns, strict=True), start + 1):
        if cause:
            yield BeatRow(file, row, None, None, None, cause)
        else:
            yield BeatRow(file, row, float(f"{value:.9g}"), p_value, abnormal, cause)  # 9 digits tell float32 apart


def _as_json(row: BeatRow) -> str:
    return printable_json(orjson.dumps(asdict(row)).decode())


def _as_csv(row: BeatRow) -> str:
    text = io.StringIO()
    cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in astuple(row)]
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _as_table_row(row: BeatRow) -> str:
    if row.score is None or row.p_value is None:
        return f"{row.row:>7}  {'-':>9}  {'-':>9}  no score: {row.cause}"
    return f"{row.row:>7}  {row.score:>9.4g}  {row.p_value:>9.4g}  {'abnormal' if row.abnormal else 'normal'}"


_FORMATS: dict[str | None, Callable[[BeatRow], str]] = {None: _as_table_row, "csv": _as_csv, "json": _as_json}
