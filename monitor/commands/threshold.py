"""The commands `ecg-monitor threshold …`: what beats are held against, shown and changed on the control topic."""

from __future__ import annotations

import getpass
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import numpy as np

from monitor import broker, settings
from monitor.alarms import control_message
from monitor.alarms.control_message import ThresholdCommand
from monitor.alarms.threshold import threshold_of
from monitor.errors import BrokerError, RefusedError
from monitor.log import printable
from monitor.records.record import ControlRecord, Message, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.model.manifest import Manifest
    from monitor.settings import Settings

HEADER = ("key", "set", "threshold", "version", "when", "by", "note")
EVERYBODY = control_message.key("*")
SHOWN = 80  # characters of a note
UNKNOWN = "?"
Row = tuple[str, ...]  # as many cells as the header has


@dataclass(frozen=True, slots=True)
class StoredThreshold:
    """An order that stands on the control topic; its threshold is None for a rate where no model is at hand."""

    command: ThresholdCommand
    threshold: float | None
    version: int
    time_ms: int


@click.group()
def threshold() -> None:
    """What scores are held against, for one source or for all of them.

    The first that there is holds: the source's own, the one for all sources (*), MONITOR_THRESHOLD, the model's.
    """


_source = click.option("--source", default="*", show_default=True, help="One source, or * for all without their own.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""


@threshold.command(name="set")
@_source
@click.option("--value", type=float, metavar="X", help="Score above which a beat is abnormal.")
@click.option(
    "--false-alarm-rate", "rate", type=float, metavar="P", help="Share of normal beats above it; needs a model."
)
@click.option("--note", default="", metavar="TEXT", help="Why: shown beside it.")
@click.option("--by", default=_user, show_default="user name", help="Who says so.")
def set_one(source: str, value: float | None, rate: float | None, note: str, by: str) -> None:
    """Set a threshold, or the false-alarm rate that each monitor finds one for in its model's calibration."""
    given = [
        (name, amount)
        for name, amount in zip(control_message.MEASURES, (value, rate), strict=True)
        if amount is not None
    ]
    if len(given) != 1:
        raise click.UsageError("give one of --value and --false-alarm-rate")
    wanted, key = settings.read(), control_message.key(source)
    command = ThresholdCommand(*given[0], by, note)
    message = control_message.encode(command)
    found = f"threshold {command.amount:g}"
    if command.measure == "false_alarm_rate":
        manifest = _manifest(wanted)
        found = (
            f"false-alarm rate {command.amount:g}, threshold {_comes_to(command, manifest):g} with {manifest.model_id}"
        )
    click.echo(f"{_shown(key)}: {found}, version {_write(wanted, key, message)}")


@threshold.command()
@_source
def clear(source: str) -> None:
    """Take back what was set."""
    wanted, key = settings.read(), control_message.key(source)
    last = None
    with broker.Reader(wanted, wanted.control_topic, from_beginning=True) as reader:
        for record in reader.until_end():
            last = record.value if record.key == key else last
    if last is None:
        click.echo(f"{_shown(key)}: nothing was set, there is nothing to clear")
        return
    click.echo(f"{_shown(key)}: cleared, version {_write(wanted, key, None)}")


@threshold.command()
@click.option("--source", metavar="TEXT", help="What holds for this source [default: everything that is set].")
def show(source: str | None) -> None:
    """Show what is set, by whom, and the threshold it comes to with the model at hand."""
    wanted = settings.read()
    asked = None if source is None else control_message.key(source)
    manifest = _manifest_at_hand(wanted)
    standing = _standing(wanted, manifest)
    common = [*_rows(standing, [EVERYBODY]), *_fallbacks(wanted, manifest)]
    own = _rows(standing, sorted(standing.keys() - {EVERYBODY}) if asked is None else [asked])
    own = [] if asked == EVERYBODY else own
    for line in _table([HEADER, *own, *common]):
        click.echo(line)
    holds = own[0] if asked is not None and own else common[0]
    whose = "every source without its own" if asked in (None, EVERYBODY) else printable(source or "")
    click.echo(f"{whose}: threshold {holds[2]} from {holds[0]}")


def _manifest_at_hand(wanted: Settings) -> Manifest | None:
    try:
        return _manifest(wanted)
    except RefusedError as error:
        click.echo(f"warning: rates cannot be turned into thresholds without a model: {error}", err=True)
        return None


def _manifest(wanted: Settings) -> Manifest:
    from monitor.model import artifact  # noqa: PLC0415 - brings torch

    return artifact.load(wanted.model, "cpu").manifest


def _comes_to(command: ThresholdCommand, manifest: Manifest | None) -> float | None:
    """The order's threshold; None for a rate without a model. Raises RefusedError for a rate that is too fine."""
    if manifest is None:
        return command.amount if command.measure == "threshold" else None
    return threshold_of(command, np.array(manifest.calibration, np.float64))


def _standing(wanted: Settings, manifest: Manifest | None) -> dict[bytes, StoredThreshold]:
    """By key, what the monitors follow; a warning for each record that they ignore."""
    standing: dict[bytes, StoredThreshold] = {}
    with broker.Reader(wanted, wanted.control_topic, from_beginning=True) as reader:
        for record in reader.until_end():
            change = ControlRecord(record.key, record.value, record.offset)
            try:
                _follow(standing, change, record.timestamp, manifest)
            except RefusedError as error:
                click.echo(f"warning: {control_message.why_ignored(change, error)}", err=True)
    return standing


def _follow(
    standing: dict[bytes, StoredThreshold], change: ControlRecord, time_ms: int, manifest: Manifest | None
) -> None:
    request = control_message.read(change)
    if request is None or change.key is None:
        return
    if request.command is None:
        standing.pop(change.key, None)
        return
    standing[change.key] = StoredThreshold(
        request.command, _comes_to(request.command, manifest), change.offset, time_ms
    )


def _rows(standing: dict[bytes, StoredThreshold], keys: list[bytes]) -> list[Row]:
    return [_row(key, standing[key]) for key in keys if key in standing]


def _row(key: bytes, one: StoredThreshold) -> Row:
    command, value = one.command, UNKNOWN if one.threshold is None else f"{one.threshold:g}"
    said = (printable(text[:SHOWN]) for text in (command.by, command.note))
    return (_shown(key), f"{command.measure} {command.amount:g}", value, str(one.version), rfc3339(one.time_ms), *said)


def _fallbacks(wanted: Settings, manifest: Manifest | None) -> Iterator[Row]:
    """What holds where the topic says nothing, the first of them."""
    if wanted.threshold is not None:
        yield "MONITOR_THRESHOLD", "", f"{wanted.threshold:g}", "", "", "", ""
    if manifest is None:
        yield "the model", "", UNKNOWN, "", "", "", ""
    else:
        yield "the model", "", f"{manifest.threshold.value:g}", "", "", manifest.model_id, manifest.threshold.rule


def _table(rows: list[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _shown(key: bytes) -> str:
    return printable(key.decode())


def _write(wanted: Settings, key: bytes, value: bytes | None) -> int:
    """Put one record on the control topic; its offset, read back.

    Reading comes first: where there is no topic it says so, and some brokers would make one that is not compacted.
    """
    topic = wanted.control_topic
    with broker.Reader(wanted, topic, from_beginning=False) as reader:
        with closing(broker.Publisher(wanted)) as publisher:
            publisher.send(Message(topic, key, value))
            publisher.flush()
        offsets = [record.offset for record in reader.until_end() if (record.key, record.value) == (key, value)]
    if not offsets:
        raise BrokerError(f"{topic} took the record and does not give it back: look with `ecg-monitor threshold show`")
    return int(offsets[-1])
