"""The commands `threshold set`, `show` and `clear`: show and change thresholds on the control topic.

Running monitors follow the control topic, so a change takes effect within seconds and needs no restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor import broker, settings
from monitor.alarms import control_message
from monitor.alarms.control_message import ControlRequest, ThresholdCommand
from monitor.alarms.threshold import threshold_of
from monitor.commands import show, user_name, write_control
from monitor.errors import RefusedError
from monitor.records.record import ControlRecord, rfc3339
from monitor.terminal import printable, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.model.manifest import Manifest
    from monitor.settings import Settings

HEADER = ("key", "set", "threshold", "version", "when", "by", "note")
ALL_SOURCES = control_message.key("*")
MAX_TEXT = 80  # characters of a note or a name that are shown
UNKNOWN = "?"
_SHOW = "ecg-monitor threshold show"
Row = tuple[str, ...]  # as many cells as the header has


@dataclass(frozen=True, slots=True)
class StoredThreshold:
    """A threshold command that is in force on the control topic.

    `threshold` is the score that it amounts to; None for a false-alarm rate when no model can be read.
    """

    command: ThresholdCommand
    threshold: float | None
    version: int
    time_ms: int


@click.group()
def threshold() -> None:
    """Show and change the thresholds of running monitors.

    A beat is abnormal when its score is above the threshold. The first of these that is set applies: the threshold of
    its source, the one for all sources (*), MONITOR_THRESHOLD, and the threshold in the model file. A source is one
    lead of one patient; its name is the key of its records. Changes take effect within seconds.
    """


_source = click.option(
    "--source", default="*", show_default=True, help="Its name; * means every source without a threshold of its own."
)


@threshold.command(name="set")
@_source
@click.option("--value", type=float, metavar="X", help="The threshold itself: beats with a higher score are abnormal.")
@click.option(
    "--false-alarm-rate",
    "rate",
    type=float,
    metavar="P",
    help="The share of normal beats that may be flagged, for example 0.01. Each monitor finds the threshold for it in "
    "its model.",
)
@click.option("--note", default="", metavar="TEXT", help="The reason; `show` prints it.")
@click.option("--by", default=user_name, show_default="your user name", help="Who sets it; `show` prints it.")
def set_one(source: str, value: float | None, rate: float | None, note: str, by: str) -> None:
    """Set the threshold of one source or of all sources.

    Give either --value or --false-alarm-rate.
    """
    given = [
        (name, amount)
        for name, amount in zip(control_message.MEASURES, (value, rate), strict=True)
        if amount is not None
    ]
    if len(given) != 1:
        raise click.UsageError("give one of --value and --false-alarm-rate")
    config, key = settings.read(), control_message.key(source)
    command = ThresholdCommand(*given[0], by, note)
    message = control_message.encode(command)
    result = f"threshold {command.amount:g}"
    if command.measure == "false_alarm_rate":
        manifest = _manifest(config)
        result = (
            f"false-alarm rate {command.amount:g}, threshold {_resolved(command, manifest):g} with {manifest.model_id}"
        )
    show(f"{_shown(key)}: {result}, version {write_control(config, key, message, _SHOW)}")


@threshold.command()
@_source
def clear(source: str) -> None:
    """Remove a threshold that was set.

    With --source * the threshold for all sources is removed; thresholds of single sources stay. The next one in the
    order of `threshold --help` applies from then on.
    """
    config, key = settings.read(), control_message.key(source)
    last = None
    with broker.Reader(config, config.control_topic, from_beginning=True) as reader:
        for record in reader.until_end():
            last = record.value if record.key == key else last
    if last is None:
        show(f"{_shown(key)}: nothing was set, there is nothing to clear")
        return
    show(f"{_shown(key)}: cleared, version {write_control(config, key, None, _SHOW)}")


@threshold.command(name="show")
@click.option("--source", metavar="TEXT", help="Show what applies to this source.  [default: all that is set]")
def show_all(source: str | None) -> None:
    """Show the thresholds that apply, and who set them.

    The column `threshold` is the score that a false-alarm rate amounts to with the model in MONITOR_MODEL. The last
    line says which threshold applies.
    """
    config = settings.read()
    asked = None if source is None else control_message.key(source)
    manifest = _manifest_if_readable(config)
    stored = _stored_thresholds(config, manifest)
    common = [*_rows(stored, [ALL_SOURCES]), *_defaults(config, manifest)]
    own = _rows(stored, sorted(stored.keys() - {ALL_SOURCES}) if asked is None else [asked])
    own = [] if asked == ALL_SOURCES else own
    for line in table([HEADER, *own, *common]):
        show(line)
    applied = own[0] if asked is not None and own else common[0]
    who = "every source without its own" if asked in (None, ALL_SOURCES) else printable(source or "")
    show(f"{who}: threshold {applied[2]} from {applied[0]}")


def _manifest_if_readable(config: Settings) -> Manifest | None:
    try:
        return _manifest(config)
    except RefusedError as error:
        show(f"warning: rates cannot be turned into thresholds without a model: {error}", err=True)
        return None


def _manifest(config: Settings) -> Manifest:
    from monitor.model import artifact  # noqa: PLC0415 - loads the scorer, perhaps torch

    return artifact.load(config.model, "cpu").manifest


def _resolved(command: ThresholdCommand, manifest: Manifest | None) -> float | None:
    """The score that a command amounts to; None for a false-alarm rate without a model.

    Raises RefusedError for a rate that is smaller than the model's calibration scores can support.
    """
    if manifest is None:
        return command.amount if command.measure == "threshold" else None
    return threshold_of(command, np.array(manifest.calibration, np.float64))


def _stored_thresholds(config: Settings, manifest: Manifest | None) -> dict[bytes, StoredThreshold]:
    """The commands in force on the control topic, by key. Prints a warning for each record that monitors ignore."""
    stored: dict[bytes, StoredThreshold] = {}
    with broker.Reader(config, config.control_topic, from_beginning=True) as reader:
        for record in reader.until_end():
            change = ControlRecord(record.key, record.value, record.offset)
            try:
                _apply(stored, change, record.timestamp, manifest)
            except RefusedError as error:
                show(f"warning: {control_message.why_ignored(change, error)}", err=True)
    return stored


def _apply(
    stored: dict[bytes, StoredThreshold], change: ControlRecord, time_ms: int, manifest: Manifest | None
) -> None:
    """Change `stored` as a monitor would. Raises RefusedError for a record that monitors ignore."""
    request = control_message.read(change)
    if not isinstance(request, ControlRequest) or change.key is None:
        return
    command = request.command
    if command is None:
        stored.pop(change.key, None)
        return
    stored[change.key] = StoredThreshold(command, _resolved(command, manifest), change.offset, time_ms)


def _rows(stored: dict[bytes, StoredThreshold], keys: list[bytes]) -> list[Row]:
    return [_row(key, stored[key]) for key in keys if key in stored]


def _row(key: bytes, one: StoredThreshold) -> Row:
    command, value = one.command, UNKNOWN if one.threshold is None else f"{one.threshold:g}"
    by, note = (printable(text[:MAX_TEXT]) for text in (command.by, command.note))
    given = f"{command.measure} {command.amount:g}"
    return (_shown(key), given, value, str(one.version), rfc3339(one.time_ms), by, note)


def _defaults(config: Settings, manifest: Manifest | None) -> Iterator[Row]:
    """What applies where the control topic sets nothing; the first row wins."""
    if config.threshold is not None:
        yield "MONITOR_THRESHOLD", "", f"{config.threshold:g}", "", "", "", ""
    if manifest is None:
        yield "the model", "", UNKNOWN, "", "", "", ""
    else:
        yield "the model", "", f"{manifest.threshold.value:g}", "", "", manifest.model_id, manifest.threshold.rule


def _shown(key: bytes) -> str:
    return printable(key.decode())
