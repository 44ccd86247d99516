"""The commands `source list` and `end`: which sources are known, and to say that one has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import orjson

from monitor import broker, settings
from monitor.alarms import control_message
from monitor.alarms.known_sources import KnownSources
from monitor.alarms.lifecycle import Acknowledgement
from monitor.commands import show, user_name, write_control
from monitor.errors import RefusedError
from monitor.records.record import record_time
from monitor.terminal import count_of, printable, printable_json, table

if TYPE_CHECKING:
    from monitor.alarms.known_sources import KnownSource
    from monitor.settings import Settings

HEADER = ("source", "partition", "profile", "last beat", "row written", "alarms on")


@click.group()
def source() -> None:
    """Show which sources are known, and end one.

    A source is one lead of one patient or bed; its name is the key of its records.
    """


@source.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each source.")
def list_all(*, as_json: bool) -> None:
    """Show the sources of which something is stored.

    These have a profile, or an alarm, or had a flagged beat among their last ones. `last beat` is the last one that a
    row includes: the row of a profile may be some thousand beats of its partition old.
    """
    config = settings.read()
    known = _read(config)
    found = list(known)
    if as_json:
        lines = [printable_json(orjson.dumps(one.fields(config.beats_topic)).decode()) for one in found]
    else:
        lines = [*(table([HEADER, *map(_cells, found)]) if found else ()), _summary(found)]
    if lines:
        show("\n".join(lines))
    if left_out := known.alarms.left_out():
        show(f"warning: on {config.state_topic_name} are {left_out}: left out", err=True)


@source.command()
@click.option("--source", "name", required=True, metavar="NAME", help="The source; its name is its records' key.")
@click.option("--by", default=user_name, show_default="your user name", help="Who ends it; alerts tell it.")
@click.option("--note", default="", metavar="TEXT", help="The reason; alerts tell it.")
def end(name: str, by: str, note: str) -> None:
    """Say that a source has ended: its patient left.

    Or its lead was taken off for good. Within a second or so its alarms close with the cause `ended`, and what was
    learned of it is dropped. Stop its sender first: what it sends from now on begins a new source, and one that sends
    on meanwhile is not ended.
    """
    config, key = settings.read(), control_message.end_key(name)
    partitions = [one.partition for one in _read(config) if one.source == name]
    if not partitions:
        raise RefusedError(f"{printable(name)} is not known: look with `ecg-monitor source list`")
    with broker.Reader(config, config.beats_topic, from_beginning=False) as reader:
        before = reader.after_last(partitions)
    given = Acknowledgement(by, time.time_ns() // 1_000_000, note, 0)
    value = control_message.encode_end(config.beats_topic, before, given)
    version = write_control(config, key, value, "ecg-monitor source list")
    show(f"{printable(name)}: ended by {printable(by)}, version {version}")


def _read(config: Settings) -> KnownSources:
    known = KnownSources(config.group_id)
    topics = [(config.state_topic_name, known.take_state)]
    if config.profiles_topic_name not in broker.missing_topics(config, broker.COMMAND_SECONDS, profiles=True):
        topics.append((config.profiles_topic_name, known.take_profile))
    for topic, take in topics:
        with broker.Reader(config, topic, from_beginning=True) as reader:
            rows = (record for record in reader.until_end() if record.key is not None)  # Kafka takes no other here
            for record in rows:
                take((record.partition, record.key or b""), record.value, record.headers, record.timestamp)
    return known


def _cells(one: KnownSource) -> tuple[str, ...]:
    """The row of a source, as HEADER names its cells."""
    alarms = ", ".join(f"{alarm.priority} {alarm.cause}" for alarm in one.alarms)
    return (
        printable(one.source),
        str(one.partition),
        one.profile or "-",
        record_time(one.last_ms) or "not known",
        record_time(one.written_ms) or "not known",
        alarms or "-",
    )


def _summary(found: list[KnownSource]) -> str:
    alarms = sum(bool(one.alarms) for one in found)
    return f"{count_of(len(found), 'source')} known, {alarms:,} with alarms on" if found else "no source is known"
