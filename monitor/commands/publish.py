"""The command `publish`: sends beats of files, of recordings or of a live signal to the beats topic."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from monitor import api, broker, settings
from monitor.beats import stream
from monitor.beats.window import R_CENTRED, Window
from monitor.commands import TABLE_OPTIONS, milliseconds_of, require_recordings, show, table_options
from monitor.errors import BrokerError, RecordingError, RefusedError
from monitor.publishing.file_kind import is_recording
from monitor.publishing.sending import send_all
from monitor.publishing.source import check_source
from monitor.publishing.status_line import StatusLine
from monitor.stop_request import StopRequest
from monitor.telemetry.clock import SYSTEM_CLOCK
from monitor.terminal import count_of

if TYPE_CHECKING:
    from monitor.recordings.player import StartChoice
    from monitor.settings import Settings

LIVE = Path("-")
LEAST_SPEED = 0.001
CUT_HERE = {"hz", "unit", "model"}  # options of everything that is cut into beats here
OPTIONS = {  # that only some inputs take
    "files of beats": {"sources", "rate", "shuffle", "loop", "start"},
    "recordings": {"leads", "speed", "start", "labels", "column"} | CUT_HERE,
    "a live signal": {"input"} | CUT_HERE,
}

Start = int | Literal["now", "recording"] | None  # int: ms since the epoch; None: --start is not given


def _speed(text: str) -> float:
    """`max` is infinity."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed >= LEAST_SPEED:
        raise click.BadParameter(f"{text!r} is not a speed: `max` or a number from {LEAST_SPEED:g} is expected")
    return speed


def _start(text: str | None) -> Start:
    if text is None:
        return None
    if text == "now":
        return "now"
    if text == "recording":
        return "recording"
    return milliseconds_of(text)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True), metavar="FILE...")
@click.option(
    "--source",
    "names",
    multiple=True,
    metavar="NAME",
    help="Source of the beats, for example bed-7; with several recordings once for each.  [default: name of the "
    "recording and its lead, as in 100-MLII]",
)
@click.option(
    "--start",
    metavar="TIME",
    callback=lambda *given: _start(given[2]),
    help="Time of the first sample or beat, for example 2026-11-24T10:00:00Z (UTC unless it says otherwise). With "
    "`now` a recording gets the latest times with which no beat is ahead of the clock: at speed 1 it begins now, at "
    "max it ends now. With `recording` it keeps its own times.  [default: its own where Kafka still keeps records of "
    "that time, else now; beats of a file: the time at which each is sent]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["float32", "json"]),
    default="float32",
    show_default=True,
    help="How a beat is written: 560 bytes of float32, or a JSON object.",
)
@click.option(
    "--lead",
    "leads",
    multiple=True,
    help="Lead of a recording, by name or by number from 0; once, or once for each.  [default: the first]",
)
@click.option(
    "--speed",
    metavar="NUMBER",
    callback=lambda *given: _speed(given[2]),
    default="max",
    show_default=True,
    help="How fast recordings are played: 1 as it happened, 10 ten times as fast, max as fast as possible.",
)
@click.option("--labels", is_flag=True, help="Write the annotation of each beat into the header `annotation`.")
@table_options(" and of a live signal")
@click.option(
    "--input",
    "input",
    type=click.Choice(["text", "int16", "float32"]),
    default="text",
    show_default=True,
    help="How a live signal comes in: a number on each line, or little-endian numbers of 2 or 4 bytes.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Cut beats as this model file expects them.  [default: 0.248 s before R to 0.408 s after it]",
)
@click.option(
    "--sources",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="Distribute the beats of files in turn over this many sources: source-00000, source-00001 and so on.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Send at most this many beats of files per second, all sources together.  [default: no limit]",
)
@click.option("--shuffle", type=int, metavar="SEED", help="Beats of files in random order; each SEED gives one order.")
@click.option("--loop", is_flag=True, help="Start again after the last beat of the files, until Ctrl-C.")
@click.pass_context
def publish(context: click.Context, /, files: tuple[Path, ...], **options: Any) -> None:
    """Publish beats of files, recordings or a live signal.

    FILE... is one of these:

    Recordings: WFDB (100 or 100.hea), EDF, BDF, or CSV with a column of samples. The beats of a lead are found and cut
    here. Several recordings are played at once, as several beds. For example:

    \b
        ecg-monitor publish rec.edf --lead II --source bed-7 --speed 10

    A live signal on standard input, written as `-`. Each beat is published when it is found, with the time of its
    R peak. While Kafka is unavailable the last 10,000 beats wait here. For example:

    \b
        my-device | ecg-monitor publish - --hz 250 --unit uV --source bed-7

    Beats: ECG5000 (.txt, .tsv or .csv), or your own .csv or .npy: one beat in each row, 140 samples and an optional
    label. The label goes into the record header `label`.

    The monitor reads no header. Kafka deletes records by their times, and refuses those that are an hour ahead of its
    clock. A monitor counts alarms of old beats as late.
    """  # noqa: D301 - click takes \\b for a paragraph that it leaves as it is
    kind = _kind(files, options)
    _refuse_foreign(context, kind)
    config = settings.read()
    {"files of beats": _publish_files, "recordings": _publish_recordings, "a live signal": _publish_live}[kind](
        config, files, options
    )


def _kind(files: tuple[Path, ...], options: dict[str, Any]) -> str:
    if LIVE in files:
        if len(files) > 1:
            raise click.UsageError("`-` is one live signal: publish files and recordings by a command of their own")
        return "a live signal"
    if any(options[name] not in (None, ()) for name in ("leads", *TABLE_OPTIONS)):
        return "recordings"
    kinds = {file: "recordings" if is_recording(file) else "files of beats" for file in files}
    if len({*kinds.values()}) > 1:
        first, second = (
            next(file for file in files if kinds[file] == kind) for kind in OPTIONS if kind != "a live signal"
        )
        raise click.UsageError(f"{first} holds beats and {second} is a recording: publish them one after the other")
    return kinds[files[0]]


def _refuse_foreign(context: click.Context, kind: str) -> None:
    """Raise UsageError for an option that the input does not take, instead of passing over it."""
    special = set().union(*OPTIONS.values()) - OPTIONS[kind]
    for param in context.command.params:
        name = param.name or ""
        if name in special and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            kinds = " and ".join(one for one, names in OPTIONS.items() if name in names)
            these = "this is" if kind == "a live signal" else "these are"
            raise click.UsageError(f"{param.opts[0]} is for {kinds}, and {these} {kind}")


def _publish_files(config: Settings, files: tuple[Path, ...], options: dict[str, Any]) -> None:
    names, start = options["names"], options["start"]
    if start == "recording":
        raise click.UsageError("--start recording is for recordings")
    if len(names) > 1 or (names and options["sources"] > 1):
        raise click.UsageError("the beats of files have one --source, or so many --sources")
    for name in names:
        check_source(name)
    given = {one: options[one] for one in ("sources", "rate", "form", "shuffle", "loop")}
    start_ms = None if start == "now" else start
    plan = stream.PublishPlan(**given, start_ms=start_ms, source=names[0] if names else None)
    beats = stream.load(files)
    if start_ms is not None:
        _warn_of_age(config, start_ms, broker.retention_ms(config, config.beats_topic))
    items = stream.paced(stream.messages(beats, config.beats_topic, plan), plan.rate)
    length = None if plan.loop else len(beats.samples)
    with _publisher(config) as publisher:
        with click.progressbar(items, length=length, label="publishing", file=sys.stderr, show_pos=True) as bar:
            send_all(publisher, bar)
        publisher.flush()
    _say_published(publisher.acknowledged, count_of(plan.sources, "source"), config)


def _publish_recordings(config: Settings, files: tuple[Path, ...], options: dict[str, Any]) -> None:
    require_recordings()
    from monitor.publishing import playback  # noqa: PLC0415 - loads scipy, which beat files do not need

    window = _window(options["model"])
    plan = playback.PlaybackPlan(
        **{one: options[one] for one in ("leads", "speed", "form", "hz", "column", "unit")},
        sources=options["names"],
        start=_start_choice(options["start"]),
        with_annotations=options["labels"],
        window=window,
    )
    recordings = playback.open_all(files, plan)
    limits = broker.time_limits(config, config.beats_topic)
    player, status = playback.Playback(recordings, plan, _accepted(config, limits), SYSTEM_CLOCK), StatusLine()
    status.say(player.times())
    _warn_of_age(config, player.timetable.first_ms, limits.kept_ms)
    with _publisher(config) as publisher:
        try:
            publisher.find(config.beats_topic)
            send_all(publisher, player.messages(config.beats_topic, publisher.flush, status))
            publisher.flush()
        except RecordingError as error:
            publisher.flush()
            raise error.after(player.published()) from error
        finally:
            for line in player.result():
                status.say(line)
    _say_published(publisher.acknowledged, count_of(len(recordings), "source"), config)
    if player.has_nothing:
        raise RefusedError("no beats were found, so nothing was published")


def _start_choice(start: Start) -> StartChoice:
    from monitor.recordings.player import AUTOMATIC, StartChoice  # noqa: PLC0415 - loads scipy

    if start is None:
        return AUTOMATIC
    return StartChoice("time", start) if isinstance(start, int) else StartChoice(start)


def _publish_live(config: Settings, _files: tuple[Path, ...], options: dict[str, Any]) -> None:
    for name in ("hz", "unit"):
        if options[name] is None:
            raise click.UsageError(f"a live signal needs --{name}")
    if len(options["names"]) != 1:
        raise click.UsageError("a live signal needs one --source, for example --source bed-7")
    if sys.stdin is None:
        raise RefusedError("standard input is closed, where a live signal is expected")
    source = options["names"][0]
    check_source(source)
    require_recordings()
    from monitor.publishing import live  # noqa: PLC0415 - loads scipy

    signal = live.signal_of(options["input"], options["hz"], options["unit"], _window(options["model"]))
    target = live.LiveTarget(source, config.beats_topic, options["form"])
    publisher = broker.Publisher(config)
    publisher.find(config.beats_topic)
    buffered = broker.BufferedPublisher(publisher, lambda: broker.Publisher(config))
    with StopRequest() as stop:
        feed = live.LiveFeed(signal, buffered, target, StatusLine(), SYSTEM_CLOCK)
        feed.run(live.chunks(sys.stdin.fileno(), stop), stop)
    _say_published(buffered.published, source, config)


def _accepted(config: Settings, limits: broker.TimeLimits) -> broker.TimeLimits:
    """The limits of the topic, and of monitors that leave old beats out."""
    ages_ms = [one for one in (limits.kept_ms, config.max_age_seconds and round(1000 * config.max_age_seconds)) if one]
    return replace(limits, kept_ms=min(ages_ms, default=None))


def _window(model: Path | None) -> Window:
    """The window by which a model expects beats. Raises RefusedError for one that recordings are not cut by."""
    if model is None:
        return R_CENTRED
    try:
        window = api.load_model(model, "cpu").window
    except ValueError as error:
        raise RefusedError(str(error)) from None
    if window.kind == "r-to-r":
        raise RefusedError(
            f"{model}: expects beats {window}, and recordings are cut around R: take a model that was trained on "
            "recordings"
        )
    return window


@contextmanager
def _publisher(config: Settings) -> Iterator[broker.Publisher]:
    """A publisher. Says how many beats were published where an error of Kafka ends it."""
    with closing(broker.Publisher(config)) as publisher:
        try:
            yield publisher
        except BrokerError:
            show(f"{count_of(publisher.acknowledged, 'beat')} published before this error:", err=True)
            raise


def _say_published(count: int, whose: str, config: Settings) -> None:
    show(f"{count_of(count, 'beat')} of {whose} published to {config.beats_topic}")


def _warn_of_age(config: Settings, first_ms: int, kept_ms: int | None) -> None:
    """Print a warning if the first beat is so old that Kafka deletes it soon, or that a monitor leaves it out.

    `first_ms` is its time in ms since the epoch; `kept_ms` is how long the topic keeps records, None without a limit.
    """
    age_ms = 1000 * datetime.now(UTC).timestamp() - first_ms
    if kept_ms is not None and age_ms > kept_ms:
        show(
            f"warning: {config.beats_topic} keeps records for {_hours(kept_ms)}, counted from their own timestamps: "
            "Kafka soon deletes older beats, perhaps before they are read",
            err=True,
        )
    if config.max_age_seconds is not None and age_ms > 1000 * config.max_age_seconds:
        show(
            f"warning: with MONITOR_MAX_AGE_SECONDS={config.max_age_seconds:g} the monitor leaves older beats out: "
            "give a later --start",
            err=True,
        )


def _hours(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    return f"{hours:g} hour{'' if hours == 1 else 's'}"
