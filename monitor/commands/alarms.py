"""The command `alarms`: what is on now, once or again and again."""

from __future__ import annotations

import heapq
import shutil
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import click
import orjson

from monitor import broker, settings
from monitor.alarms.current import AlarmFilter, CurrentAlarms
from monitor.alarms.rule import KINDS
from monitor.alarms.run_rule import PRIORITIES
from monitor.commands import show
from monitor.errors import BrokerError
from monitor.records.record import record_time, rfc3339
from monitor.terminal import count_of, printable, printable_json, table

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from monitor.alarms.current import AlarmChange, CurrentAlarm
    from monitor.broker.client import TopicRecord
    from monitor.settings import Settings

HEADER = (
    "priority",
    "kind",
    "cause",
    "presence",
    "source",
    "opened",
    "for",
    "flagged beats",
    "decided by",
    "acknowledged",
    "alarm",
)
LOOK_SECONDS = 0.5  # between two looks at what has changed
CHECK_SECONDS = 2.0  # between two questions whether the broker still answers, and the topic is the same
AGAIN_SECONDS = 1.0  # before the next attempt, after one that failed
BEGIN, END_OF_LINE, END = "\x1b[?7l\x1b[H", "\x1b[K\n", "\x1b[J\x1b[?7h"  # a frame: long lines are cut at the edge
CLEAR = "\x1b[2J"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each alarm.")
@click.option(
    "--watch", is_flag=True, help="Go on until Ctrl-C: on a terminal the table, elsewhere a line for each change."
)
@click.option("--source", metavar="NAME", help="Show alarms of this source only.  [default: of all]")
@click.option("--kind", type=click.Choice(KINDS), help="Show alarms of this kind only.  [default: both]")
@click.option(
    "--priority",
    "priorities",
    type=click.Choice(PRIORITIES),
    multiple=True,
    help="Show alarms of this priority only; it may be given several times.  [default: all]",
)
def alarms(*, as_json: bool, watch: bool, source: str | None, kind: str | None, priorities: tuple[str, ...]) -> None:
    """Show what is on now.

    These are the alarms of all sources that are on or latched, as the monitors of the group stored them last: the most
    urgent first, then the one that opened last. Whether monitors run, `ecg-monitor alerts` and this command cannot say.
    """
    view = AlarmView(settings.read(), AlarmFilter(source, kind, priorities), as_json=as_json)
    if not watch:
        _show_once(view)
        return
    with suppress(KeyboardInterrupt):
        _watch(view, AlarmScreen(view) if sys.stdout.isatty() and not as_json else ChangeLines(view))


@dataclass(frozen=True, slots=True)
class AlarmView:
    """What is shown, and how."""

    config: Settings
    wanted: AlarmFilter
    as_json: bool = False

    def json_line(self, alarm: CurrentAlarm, now_ms: int, *, is_off: bool = False) -> str:
        return printable_json(orjson.dumps(alarm.fields(self.config.beats_topic, now_ms, is_off=is_off)).decode())

    def cells(self, alarm: CurrentAlarm, now_ms: int) -> tuple[str, ...]:
        """The row of an alarm, as HEADER names its cells."""
        found = alarm.fields(self.config.beats_topic, now_ms)
        beats, seconds = found["beats"], found["seconds"]
        return (
            alarm.priority,
            alarm.kind,
            alarm.cause,
            f"{alarm.presence}, paused" if alarm.is_held else alarm.presence,
            printable(alarm.source),
            found["opened_at"] or "not known",
            "not known" if seconds is None else lasting(seconds),
            f"{beats['abnormal']} of {beats['seen']}",
            found["decided_by"] or "-",
            "-" if alarm.acknowledged is None else printable(alarm.acknowledged.by),
            found["id"],
        )

    def summary(self, current: CurrentAlarms, taken: Iterable[CurrentAlarm]) -> str:
        """How many alarms are on, by priority."""
        found, written = Counter(alarm.priority for alarm in taken), record_time(current.written_ms)
        shown, total = found.total(), sum(1 for _ in current)
        state = f"last written {written}" if written else "never written"
        numbers = ", ".join(f"{found[one]} {one}" for one in reversed(PRIORITIES) if found[one])
        what = f"{count_of(shown, 'alarm')} on: {numbers}" if shown else "no alarm is on"
        others = f", besides {count_of(total - shown, 'other')}" if total > shown else ""
        return f"{what}{others} ({self.config.state_topic_name}, {state})"

    def left_out(self, current: CurrentAlarms) -> str:
        """A warning about rows that are not shown; empty where there are none."""
        found = current.left_out()
        return f"warning: on {self.config.state_topic_name} are {found}: left out" if found else ""


def lasting(seconds: float) -> str:
    """A duration for people, in its two largest units: 45 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes = int(seconds) // 60
    if not minutes:
        return f"{int(seconds)} s"
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def take(current: CurrentAlarms, records: Iterable[TopicRecord]) -> None:
    """Let `current` know what the records of its topic say."""
    for record in records:
        if record.key is not None:  # Kafka takes no other into a compacted topic
            current.take((record.partition, record.key), record.value, record.headers, record.timestamp)


def _show_once(view: AlarmView) -> None:
    current = CurrentAlarms(view.config.group_id)
    with broker.Reader(view.config, view.config.state_topic_name, from_beginning=True) as reader:
        take(current, reader.until_end())
    current.settle()
    found = sorted(filter(view.wanted.takes, current), key=attrgetter("urgency"))
    now_ms = _now_ms()
    if view.as_json:
        lines = [view.json_line(alarm, now_ms) for alarm in found]
    else:
        rows = [view.cells(alarm, now_ms) for alarm in found]
        lines = [*(table([HEADER, *rows]) if rows else ()), view.summary(current, found)]
    if lines:
        show("\n".join(lines))
    if warning := view.left_out(current):
        show(warning, err=True)


class AlarmLook(NamedTuple):
    """What there is to show at one moment."""

    changes: list[AlarmChange]  # since the last one
    trouble: str  # why Kafka cannot be read; empty while it can


def _watch(view: AlarmView, output: AlarmScreen | ChangeLines) -> None:
    current = CurrentAlarms(view.config.group_id)
    with closing(_looks(view.config, current)) as looks:
        for look in looks:
            output.draw(current, look)


def _looks(config: Settings, current: CurrentAlarms) -> Generator[AlarmLook]:
    """Every LOOK_SECONDS what has changed. Raises BrokerError where the topic cannot be read at the start.

    Later it tries again: what is shown meanwhile may be out of date, so it says why.
    """
    is_first, pause = True, threading.Event()
    while True:
        try:
            with broker.Reader(config, config.state_topic_name, from_beginning=True) as reader:
                current.begin_again()
                take(current, reader.until_end())
                yield AlarmLook(current.settle(), "")
                is_first = False
                yield from _changes(reader, current)
        except BrokerError as error:
            if is_first:
                raise
            yield AlarmLook([], str(error))
            pause.wait(AGAIN_SECONDS)


def _changes(reader: broker.Reader, current: CurrentAlarms) -> Iterator[AlarmLook]:
    """The changes after the first look, until the topic is another one."""
    checked = time.monotonic()
    while True:
        until = time.monotonic() + LOOK_SECONDS
        while (left := until - time.monotonic()) > 0:
            take(current, reader.poll(left))
        yield AlarmLook(current.settle(), "")
        if time.monotonic() - checked > CHECK_SECONDS:
            if reader.is_outdated():
                return
            checked = time.monotonic()


class ChangeLines:
    """A line for each change, for a file or for programs."""

    def __init__(self, view: AlarmView) -> None:
        self._view = view
        self._trouble = self._left_out = ""  # as they were told last
        self._is_first = True

    def draw(self, current: CurrentAlarms, look: AlarmLook) -> None:
        now_ms, view = _now_ms(), self._view
        changes = [change for change in look.changes if view.wanted.takes(change.alarm)]
        for change in sorted(changes, key=lambda one: one.alarm.urgency, reverse=True):
            show(self._line(change, now_ms))
        if self._is_first and not view.as_json:
            show(view.summary(current, filter(view.wanted.takes, current)))
        if look.trouble != self._trouble:
            show(look.trouble or f"{view.config.state_topic_name} is read again", err=True)
        left_out = view.left_out(current)
        if left_out and left_out != self._left_out:
            show(left_out, err=True)
        self._trouble, self._left_out, self._is_first = look.trouble, left_out, False

    def _line(self, change: AlarmChange, now_ms: int) -> str:
        if self._view.as_json:
            return self._view.json_line(change.alarm, now_ms, is_off=change.name == "off")
        return "  ".join((rfc3339(now_ms), f"{change.name:7}", *self._view.cells(change.alarm, now_ms)))


class AlarmScreen:
    """A terminal on which the table is drawn over the last one."""

    def __init__(self, view: AlarmView) -> None:
        self._view = view
        self._is_begun = False
        self._good_ms = 0  # when Kafka was read last

    def draw(self, current: CurrentAlarms, look: AlarmLook) -> None:
        now_ms = _now_ms()
        if not look.trouble:
            self._good_ms = now_ms
        frame = "".join(f"{printable(line)}{END_OF_LINE}" for line in self._lines(current, look.trouble, now_ms))
        # also where nothing changed: lines of the log may have come between
        click.echo(f"{BEGIN}{'' if self._is_begun else CLEAR}{frame}{END}", nl=False, color=True)
        self._is_begun = True

    def _lines(self, current: CurrentAlarms, trouble: str, now_ms: int) -> list[str]:
        """As many as fit."""
        view, height = self._view, shutil.get_terminal_size().lines
        taken = list(filter(view.wanted.takes, current))
        lines = [view.summary(current, taken)]
        if trouble:
            lines.append(f"as of {rfc3339(self._good_ms)}, may be out of date: {trouble}")
        if warning := view.left_out(current):
            lines.append(warning)
        room = max(1, height - len(lines) - 3)  # besides the header, how many there are more, and the cursor's line
        rows = [view.cells(alarm, now_ms) for alarm in heapq.nsmallest(room, taken, key=attrgetter("urgency"))]
        lines += table([HEADER, *rows]) if rows else ()
        if len(taken) > len(rows):
            lines.append(f"… and {len(taken) - len(rows):,} more")
        return lines
