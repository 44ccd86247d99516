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
from monitor.beats.plausible import NO_BEATS, BeatHeights
from monitor.commands import LEAD_OPTION, TABLE_OPTIONS, require_recordings, show, table_options
from monitor.errors import RefusedError
from monitor.model.fit import misfit
from monitor.publishing.file_kind import is_named_as_recording, is_recording
from monitor.recordings.progress import reported
from monitor.terminal import count_of, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from monitor.api import ScoreResult, ScoringModel
    from monitor.beats.window import Window
    from monitor.recordings import Annotations, Segments
    from monitor.settings import Settings

CHUNK_BEATS = 4096  # scored and printed at once
CSV_HEADER = "file,row,seconds,score,p_value,abnormal,cause"
TABLE_HEADER = f"{'row':>7}  {'seconds':>9}  {'score':>9}  {'p-value':>9}  verdict"


@dataclass(frozen=True, slots=True)
class BeatRow:
    """One beat of a file and what the model says about it. `row` counts the beats of the file from 1."""

    file: str
    row: int
    seconds: float | None  # of the R peak, from the start of a recording; None in a file of beats
    score: float | None  # None, as the next two, where the beat cannot be scored
    p_value: float | None
    abnormal: bool | None
    cause: str


@dataclass(frozen=True, slots=True)
class BeatsToScore:
    """n beats of a file: samples (n, 140), labels (n,), and times of R (n,) where they are known.

    A beat without a label is neither normal nor abnormal.
    """

    samples: NDArray[np.float32]
    normal: NDArray[np.bool_]
    abnormal: NDArray[np.bool_]
    seconds: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.samples)


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
    fitting: int = 0  # beats with a score that are not labelled as abnormal
    fitting_flagged: int = 0

    def add(self, result: ScoreResult, beats: BeatsToScore) -> None:
        """Count beats with their results."""
        self.beats += len(result)
        self.flagged += int(result.abnormal.sum())
        is_scored = ~np.isnan(result.score)
        self.unscored += int((~is_scored).sum())
        should_fit = is_scored & ~beats.abnormal
        self.fitting += int(should_fit.sum())
        self.fitting_flagged += int(result.abnormal[should_fit].sum())
        self.abnormal += int(beats.abnormal.sum())
        self.abnormal_flagged += int(result.abnormal[beats.abnormal].sum())
        self.normal += int(beats.normal.sum())
        self.normal_flagged += int(result.abnormal[beats.normal].sum())

    def misfit(self, window: Window) -> str | None:
        """A sentence if the model does not seem to fit these beats."""
        if self.normal:
            return misfit(self.normal_flagged, self.normal, window, labelled=True)
        return misfit(self.fitting_flagged, self.fitting, window)

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
@LEAD_OPTION
@table_options()
@click.option(
    "--threshold", type=float, help="Higher scores are abnormal.  [default: MONITOR_THRESHOLD, or the model's]"
)
@click.option(
    "--normal-label",
    "normal_labels",
    multiple=True,
    metavar="LABEL",
    help="The label that means normal; may be given several times.  [default: 1, or N and normal for words]",
)
@click.option("--resample", is_flag=True, help="Stretch beats of another length to 140 samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each beat.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header line.")
def score(
    files: tuple[Path, ...], model: Path | None, threshold: float | None, *, as_json: bool, as_csv: bool,
    **choices: Any,
) -> None:  # fmt: skip
    """Score the beats of files with a model, without Kafka.

    FILE... is a recording (WFDB, EDF, BDF, or CSV with a column of samples), whose beats are found and cut as the model
    expects them. Or it is a file of beats: ECG5000 (.txt, .tsv or .csv), or your own .csv or .npy, with one beat in
    each row, 140 samples and an optional label. Prints one row for each beat, and a summary at the end. With --json and
    --csv the summary goes to standard error. The exit code is 2 if nothing was found.

    If the files have labels, or the recordings annotations, the summary compares the verdicts with them. Annotations
    of class N of AAMI EC57 are normal, all other beats abnormal.
    """
    form = _form(as_json=as_json, as_csv=as_csv)
    _check_threshold(threshold)
    config = settings.read()
    scoring = _load(config, model)
    used = threshold if threshold is not None else config.threshold
    counts, notes = ScoreCounts(), list[str]()
    for number, file in enumerate(files):
        name = click.format_filename(file)
        beats = _beats(file, choices, scoring.window)
        for heading in _headings(form, name, number, len(files)):
            show(heading)
        of_file, heights = ScoreCounts(), BeatHeights()
        for row, chunk, result in _results(reported(beats, "scored"), scoring, used, (counts, of_file)):
            if chunk.seconds is not None:
                heights.add(chunk.samples)
            show("\n".join(map(_FORMATS[form], _rows(name, row, chunk, result))))
        _remark(name, of_file, heights)
        if note := of_file.misfit(scoring.window):
            notes.append(f"{printable(name)}: {note}.")
    for line in (*counts.summary(scoring.threshold if used is None else used), *notes):
        show(line, err=form is not None)
    if not counts.beats:
        raise RefusedError("no beats were found, so nothing was scored")


def _form(*, as_json: bool, as_csv: bool) -> str | None:
    if as_json and as_csv:
        raise click.UsageError("give one of --json and --csv")
    return "json" if as_json else "csv" if as_csv else None


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None and not (threshold > 0 and math.isfinite(threshold)):
        raise RefusedError(f"--threshold is {threshold:g}, where a number above 0 is expected")


def _remark(name: str, counts: ScoreCounts, heights: BeatHeights) -> None:
    """Say on standard error if a file has no beats, or if they cannot be those of an ECG in mV."""
    if not counts.beats:
        show(f"{name}: no beats: {NO_BEATS}", err=True)
    if warning := heights.warning():
        show(f"{name}: {warning}", err=True)


def _headings(form: str | None, name: str, number: int, files: int) -> Iterator[str]:
    """What stands above the rows of a file, which is the one with this number (from 0) among so many."""
    if form is None and files > 1:
        yield printable(name)
    if form is None:
        yield TABLE_HEADER
    elif form == "csv" and number == 0:
        yield CSV_HEADER


def _load(config: Settings, model: Path | None) -> ScoringModel:
    try:
        return api.load_model(model or config.model, config.device)
    except ValueError as error:
        raise RefusedError(str(error)) from None


def _beats(file: Path, choices: dict[str, Any], window: Window) -> Iterator[BeatsToScore]:
    """The beats of a recording, or of a file of beats, by the options of the command."""
    of_recording = {name: choices[name] for name in ("lead", *TABLE_OPTIONS)}
    rules = beat_file.ReadingRules(choices["normal_labels"], resample=choices["resample"])
    is_said = any(one is not None for one in of_recording.values())
    if is_said or is_named_as_recording(file) or (not rules.resample and is_recording(file)):
        return _cut(file, of_recording, window)
    return _read(file, rules)


def _read(file: Path, rules: beat_file.ReadingRules) -> Iterator[BeatsToScore]:
    """The beats of a file in chunks. Prints what was assumed about it. Raises RefusedError for a file that is wrong."""
    found = beat_file.read(file, rules)
    for note in found.notes:
        show(printable(note), err=True)
    places = range(0, len(found.samples), CHUNK_BEATS)
    chunks = [slice(place, place + CHUNK_BEATS) for place in places]
    nothing = np.zeros(len(found.samples), np.bool_)
    abnormal, normal = (nothing, nothing) if found.abnormal is None else (found.abnormal, ~found.abnormal)
    return (BeatsToScore(found.samples[one], normal[one], abnormal[one]) for one in chunks)


def _cut(file: Path, choices: dict[str, Any], window: Window) -> Iterator[BeatsToScore]:
    """The beats of a recording. Raises RefusedError if the model has learnt beats that are cut from R to R."""
    require_recordings()
    from monitor.recordings import open_recording  # noqa: PLC0415 - the extra `recordings`
    from monitor.recordings.player import segmenter_of, segments_of  # noqa: PLC0415

    if window.kind == "r-to-r":
        raise RefusedError(
            f"{file}: this is a recording, and the model expects beats {window}: use a model that was trained on "
            "recordings"
        )
    recording = open_recording(file, **choices)
    found = segments_of(recording, segmenter_of(recording, window))
    return _labelled((beats for beats in found if len(beats)), recording.annotations)


def _labelled(found: Iterator[Segments], annotations: Annotations | None) -> Iterator[BeatsToScore]:
    """Beats with the labels of the annotations that are near them."""
    from monitor.recordings.beat_symbols import NORMAL_SYMBOLS, BeatSymbols  # noqa: PLC0415 - the extra `recordings`

    known = None if annotations is None else BeatSymbols(annotations)
    for beats in found:
        symbols = ["" if known is None else known.near(seconds) for seconds in beats.time.tolist()]
        normal = np.array([symbol in NORMAL_SYMBOLS for symbol in symbols], np.bool_)
        yield BeatsToScore(beats.samples, normal, np.array(list(map(bool, symbols)), np.bool_) & ~normal, beats.time)


def _results(
    beats: Iterator[BeatsToScore], model: ScoringModel, threshold: float | None, counts: tuple[ScoreCounts, ...]
) -> Iterator[tuple[int, BeatsToScore, ScoreResult]]:
    """Each chunk with the number of its first beat (from 1) and its results, which are added to all `counts`.

    Raises RefusedError for a threshold that is not one.
    """
    row = 1
    for chunk in beats:
        try:
            result = model.score(chunk.samples, threshold)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        for each in counts:
            each.add(result, chunk)
        yield row, chunk, result
        row += len(result)


def _rows(file: str, first: int, beats: BeatsToScore, result: ScoreResult) -> Iterator[BeatRow]:
    columns: list[list[Any]] = [
        column.tolist() for column in (result.score, result.p_value, result.abnormal, result.cause)
    ]
    seconds = [None] * len(result) if beats.seconds is None else np.round(beats.seconds, 3).tolist()
    for row, (at, value, p_value, abnormal, cause) in enumerate(zip(seconds, *columns, strict=True), first):
        if cause:
            yield BeatRow(file, row, at, None, None, None, cause)
        else:
            yield BeatRow(file, row, at, float(f"{value:.9g}"), p_value, abnormal, cause)  # 9 digits: float32


def _as_json(row: BeatRow) -> str:
    return printable_json(orjson.dumps(asdict(row)).decode())


def _as_csv(row: BeatRow) -> str:
    text = io.StringIO()
    cells = [str(cell).lower() if isinstance(cell, bool) else cell for cell in astuple(row)]
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _as_table_row(row: BeatRow) -> str:
    begin = f"{row.row:>7}  {'-' if row.seconds is None else f'{row.seconds:.3f}':>9}"
    if row.score is None or row.p_value is None:
        return f"{begin}  {'-':>9}  {'-':>9}  no score: {row.cause}"
    return f"{begin}  {row.score:>9.4g}  {row.p_value:>9.4g}  {'abnormal' if row.abnormal else 'normal'}"


_FORMATS: dict[str | None, Callable[[BeatRow], str]] = {None: _as_table_row, "csv": _as_csv, "json": _as_json}
