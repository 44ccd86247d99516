"""The command `backtest`: the alarms that recordings, or beats on Kafka, would have raised. It writes no record."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import orjson

from monitor import settings
from monitor.alarms.run_rule import LEAST_SCORE, Sensitivity
from monitor.commands import LEAD_OPTION, TABLE_OPTIONS, milliseconds_of, require_recordings, show, table_options
from monitor.errors import RecordingError, RefusedError
from monitor.profiles.profiles import LEAST_SECONDS, MOST_SECONDS
from monitor.records.record import rfc3339
from monitor.terminal import count_of, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.backtest import BacktestPlan, BacktestResult
    from monitor.settings import Settings

SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)
RULES = ("run", "k-of-n")
RECORDING_OPTIONS = ("lead", *TABLE_OPTIONS, "picture", "annotations")


def _finite(number: float | None) -> float | None:
    """Refuse NaN, which lies in every range of click, and infinity."""
    if number is not None and not math.isfinite(number):
        raise click.BadParameter(f"{number} is no number to judge by")
    return number


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else milliseconds_of(text)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDING...]")
@click.option("--from", "from_ms", metavar="TIME", callback=_time, help="Judge the beats topic from this time on.")
@click.option("--to", "to_ms", metavar="TIME", callback=_time, help="Until this time, such as 2026-11-24T10:00:00Z.")
@click.option("--source", metavar="NAME", help="Of the beats topic count one source.  [default: all]")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Model file of the population score.  [default: of recordings none, of the topic MONITOR_MODEL]",
)
@click.option(
    "--rule",
    type=click.Choice(RULES),
    help="What opens an episode of a source with a profile: see MONITOR_RULE.  [default: run, of the topic that]",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, min_open=True),
    callback=lambda *given: _finite(given[2]),
    help="Threshold of the population score for all sources.  [default: as a monitor has it]",
)
@LEAD_OPTION
@table_options()
@click.option(
    "--sensitivity",
    type=click.Choice(SENSITIVITIES),
    help="How unlike their source three beats in a row have to be: much (quiet) or less (sensitive).  "
    "[default: normal, of the topic MONITOR_SENSITIVITY]",
)
@click.option(
    "--profile-seconds",
    type=click.FloatRange(LEAST_SECONDS, MOST_SECONDS),
    callback=lambda *given: _finite(given[2]),
    help="First seconds of each source, which its profile is learned from. Of recordings they are not judged.  "
    "[default: 300, of the topic MONITOR_PROFILE_SECONDS]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all recordings and the total.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw false openings per bed and day against runs found, for all sensitivities (.png, .svg or .pdf). Needs "
    "annotated runs, and the extra `trainer`.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the verdicts as WFDB annotations into DIR, a file NAME.alarm for each recording: N like its source, Q "
    "unlike, ? while it learns, and a note where an alarm opens, is raised or closes.",
)
def backtest(paths: tuple[Path, ...], **options: Any) -> None:
    """Count the alarms that recordings or stored beats raise.

    RECORDING... is a WFDB record, EDF, BDF or CSV with a column of samples, or a folder of these. Each source learns
    its own normal from its first minutes; three later beats in a row that are not like it open an alarm. With --model
    the recordings are judged by the step of the monitor itself, by the population score too.

    --from and --to take stored beats instead, those of the beats topic, through the step of the monitor, with no
    profile and no open alarm at the beginning. Nothing is written: no alert, no state, no offset. Prints episodes an
    hour of a source, with the 90 % range of a bootstrap over sources, and the sources with most of them. Ctrl-C ends it
    early.

    Of recordings it prints a row for each. `hours` are those after the first minutes. `openings` within 120 s are one,
    and `longest` is how long an alarm stood open. `ectopy` are openings of frequent ectopy, of low priority, which
    count nowhere else. With annotations, `runs found` are runs of three and more ventricular
    beats at which an alarm was open, `of 5+` the same of five and more, and `false` are openings without such a run,
    whatever caused them. A recording without annotations has openings per hour only.

    The lines below hold for all recordings, per hour and patient: openings; (a) false openings; (b) false openings
    but for those within 15 s of an annotated change of rhythm or conduction; with the 90 % range of a bootstrap over
    recordings, as if each were another patient. Then the time that false alarms stood open, runs found, those of them
    found by their third beat, and fibrillation or flutter of 5 s and more.

    A recording that cannot be read is named, and the others are judged. The exit code is 2 then, and if nothing was
    judged.
    """
    if options["from_ms"] is not None or options["to_ms"] is not None:
        _judge_topic(paths, options)
    else:
        _judge_recordings(paths, options)


def _judge_topic(paths: Sequence[Path], options: dict[str, Any]) -> None:
    """Judge a period of the beats topic."""
    from monitor.review import report  # noqa: PLC0415 - the extra `recordings`
    from monitor.review.topic import PeriodPlan, review_topic  # noqa: PLC0415

    from_ms, to_ms = options["from_ms"], options["to_ms"]
    given = [f"--{name}" for name in RECORDING_OPTIONS if options[name] is not None]
    if paths or given:
        raise click.UsageError(f"{given[0] if given else 'RECORDING'} is of recordings: --from and --to take the topic")
    if from_ms is None or to_ms is None or from_ms >= to_ms:
        raise click.UsageError("--from and --to belong together, and --to is the later time")
    config = _overridden(settings.read(), options)
    plan = PeriodPlan(from_ms, to_ms, options["source"], own_threshold=options["threshold"] is not None)
    found = review_topic(config, plan)
    facts = report.ReviewFacts(
        config.beats_topic,
        rfc3339(from_ms),
        rfc3339(to_ms),
        found.is_complete,
        found.model_id,
        found.threshold,
        found.has_profiles,
        config.rule,
        config.sensitivity,
    )
    if options["as_json"]:
        show(printable_json(report.as_json(found.tally, facts, found.annotated)))
    else:
        show("\n".join(report.lines(found.tally, facts, found.annotated)))
    if not found.is_complete:
        raise RefusedError("ended early: the figures are of the beats that were judged until then")


def _overridden(config: Settings, options: dict[str, Any]) -> Settings:
    """The settings with what the command line says instead."""
    names = ("model", "rule", "sensitivity", "profile_seconds", "threshold")
    return config.model_copy(update={name: options[name] for name in names if options[name] is not None})


def _judge_recordings(paths: Sequence[Path], options: dict[str, Any]) -> None:
    if not paths:
        raise click.UsageError("name a RECORDING, or --from and --to for the beats topic")
    if options["source"] is not None:
        raise click.UsageError("--source is of the beats topic: give --from and --to, or --lead for a recording")
    require_recordings()
    files = tuple(file for path in paths for file in _files(path))
    _check_outputs(files, options["picture"], options["annotations"])
    plan, outcome = _plan(options), Outcome([], [])
    names = _names(files)
    if not options["as_json"]:
        _show_head(names)
    for file, name in zip(files, names, strict=True):
        try:
            result = _judged(file, plan, options)
        except RecordingError as error:
            outcome.failures.append((file, error))
            if len(files) > 1:
                show(f"error: {error.for_command()}", err=True)
        else:
            outcome.results.append(result)
            _show(result, name, names, as_json=options["as_json"])
    _conclude(outcome, plan, options)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Recordings that were judged, and those that could not be."""

    results: list[BacktestResult]
    failures: list[tuple[Path, RecordingError]]


def _files(path: Path) -> tuple[Path, ...]:
    """The recordings of a folder; anything else as it is. Whoever opens an empty folder says that it is one."""
    from monitor.recordings.folder import is_folder, recordings_in  # noqa: PLC0415 - the extra `recordings`

    return (is_folder(path) and recordings_in(path)) or (path,)


def _names(files: Sequence[Path]) -> tuple[str, ...]:
    """What the table calls recordings: by their names, or by their paths where two have the same name."""
    times = Counter(file.stem for file in files)
    return tuple(printable(file.stem if times[file.stem] == 1 else click.format_filename(file)) for file in files)


def _check_outputs(files: Sequence[Path], picture: Path | None, folder: Path | None) -> None:
    """Raise RefusedError where a result could not be written, before any work."""
    if picture is not None:
        from monitor.backtest import picture as drawing  # noqa: PLC0415 - the extra `recordings`

        drawing.check(picture)
    if folder is None:
        return
    name, times = Counter(file.stem for file in files).most_common(1)[0]
    if times > 1:
        raise RefusedError(
            f"{folder}: two recordings are called {name!r}: judge them one after the other, into two DIRs"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(f"{folder}: is no folder and cannot be made: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise RefusedError(f"{folder}: cannot be written to: name another folder for --annotations")


def _plan(options: dict[str, Any]) -> BacktestPlan:
    """How recordings are judged. Raises RefusedError for a model of no use."""
    from monitor.backtest import BacktestPlan, StepPlan  # noqa: PLC0415 - the extra `recordings`
    from monitor.model import artifact  # noqa: PLC0415

    chosen: Sensitivity = options["sensitivity"] or "normal"
    others = tuple(one for one in SENSITIVITIES if one != chosen) if options["picture"] is not None else ()
    usual = {"rule": "run", "sensitivity": chosen, "profile_seconds": 300.0, "profiles": True}
    config = _overridden(settings.read().model_copy(update=usual), options)
    model = None
    if options["model"] is not None or options["rule"] == "k-of-n" or options["threshold"] is not None:
        for name in ("picture", "annotations"):
            if options[name] is not None:
                raise click.UsageError(
                    f"--{name} shows the personal rule alone: leave out --model, --rule and --threshold"
                )
        model = artifact.load(config.model, config.device)
    return BacktestPlan((chosen, *others), StepPlan(config, model))


def _judged(file: Path, plan: BacktestPlan, options: dict[str, Any]) -> BacktestResult:
    """Judge one recording, and write its annotations where they are asked for. Raises RecordingError."""
    from monitor.backtest import VerdictFile, backtest  # noqa: PLC0415 - the extra `recordings`
    from monitor.backtest.verdict_file import SUFFIX  # noqa: PLC0415
    from monitor.recordings import open_recording  # noqa: PLC0415

    recording = open_recording(file, **{name: options[name] for name in ("lead", *TABLE_OPTIONS)})
    if options["annotations"] is None:
        return backtest(recording, plan)
    verdicts = VerdictFile(recording.hz, LEAST_SCORE[plan.sensitivities[0]])
    result = backtest(recording, plan, verdicts)
    verdicts.write(options["annotations"] / f"{file.stem}{SUFFIX}")
    return result


def _show_head(names: Sequence[str]) -> None:
    from monitor.backtest import report  # noqa: PLC0415 - the extra `recordings`

    show(report.head(names))


def _show(result: BacktestResult, name: str, names: Sequence[str], *, as_json: bool) -> None:
    """The row of a recording, and on standard error what makes its figures doubtful."""
    from monitor.backtest import report  # noqa: PLC0415 - the extra `recordings`

    if not as_json:
        show(report.row(names, name, result))
    if doubt := report.doubt(result):
        show(f"{click.format_filename(result.path)}: {doubt}", err=True)


def _conclude(outcome: Outcome, plan: BacktestPlan, options: dict[str, Any]) -> None:
    """Print the total and draw the picture. Raises RefusedError where recordings were not judged."""
    from monitor.backtest import picture, report  # noqa: PLC0415 - the extra `recordings`

    if options["as_json"]:
        show(_as_json(outcome, plan))
    elif outcome.results:
        show("\n".join(["", *report.summary(outcome.results)]))
    if len(outcome.failures) == 1 and not outcome.results:
        raise outcome.failures[0][1]
    if not any(one.counted[0].hours for one in outcome.results):
        raise RefusedError("no recording was judged")
    if options["picture"] is not None:
        picture.draw(options["picture"], plan.sensitivities, report.annotated(outcome.results))
    if outcome.failures:
        files = count_of(len(outcome.failures) + len(outcome.results), "recording")
        raise RefusedError(f"{len(outcome.failures)} of {files} could not be judged, for the reasons above")


def _as_json(outcome: Outcome, plan: BacktestPlan) -> str:
    from monitor.backtest import Range, report  # noqa: PLC0415 - the extra `recordings`

    judged = [_object(one) for one in outcome.results]
    failed = [{"file": click.format_filename(file), "error": error.for_command()} for file, error in outcome.failures]
    content = {
        "sensitivity": plan.sensitivities[0],
        "profile_seconds": plan.step.settings.profile_seconds,
        "recordings": judged + failed,
        "total": asdict(report.totals(outcome.results)),
    }
    return printable_json(orjson.dumps(content, default=Range._asdict).decode())


def _object(result: BacktestResult) -> dict[str, Any]:
    """One recording as an object of JSON. What only annotations tell is null without them."""
    counted = asdict(result.counted[0])
    hours, openings = counted.pop("hours"), counted.pop("episodes")
    return {
        "file": click.format_filename(result.path),
        "lead": result.lead,
        "beats": result.beats,
        "hours": hours,
        "openings": openings,
        "longest_seconds": result.longest_seconds,
        "priority": result.priority,
        "profile": {
            "is_learned": result.is_learned,
            "is_sick": result.is_sick,
            "kept": result.kept,
            "templates": result.templates,
        },
        "annotated": counted if result.is_annotated else None,
        "episodes": [asdict(one) for one in result.episodes],
        "frequent_ectopy": [asdict(one) for one in result.ectopy],
    }
