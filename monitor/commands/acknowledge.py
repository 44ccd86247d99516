"""The command `acknowledge`: say that somebody has seen an alarm."""

from __future__ import annotations

import time

import click

from monitor import broker, settings
from monitor.alarms import control_message
from monitor.alarms.alert import episode_id
from monitor.alarms.current import AlarmFilter, CurrentAlarms
from monitor.commands import show, user_name, write_control
from monitor.commands.alarms import take
from monitor.errors import RefusedError
from monitor.terminal import printable


@click.command()
@click.argument("alarm", required=False)
@click.option("--source", metavar="NAME", help="Acknowledge all alarms of this source that are on.")
@click.option("--by", default=user_name, show_default="your user name", help="Who has seen it; alerts tell it.")
@click.option("--note", default="", metavar="TEXT", help="A remark; alerts tell it.")
def acknowledge(alarm: str | None, source: str | None, by: str, note: str) -> None:
    """Say that an alarm was seen.

    Give the id of an ALARM that is on, as `alarms` shows it, or --source. The monitors apply it within a second or so,
    and write an alert `acknowledged`. It is taken back when the priority rises, or the alarm opens again.
    """
    if (alarm is None) == (source is None):
        raise click.UsageError("give one of ALARM and --source")
    config = settings.read()
    wanted, current = AlarmFilter(source), CurrentAlarms(config.group_id)
    with broker.Reader(config, config.state_topic_name, from_beginning=True) as reader:
        take(current, reader.until_end())
    current.settle()
    ids = {episode_id(one.kind, config.beats_topic, one.partition, one.episode): one for one in current}
    found = {name: one for name, one in ids.items() if wanted.takes(one) and alarm in (None, name)}
    if not found:
        what = printable(alarm) if source is None and alarm is not None else f"no alarm of {printable(source or '')}"
        raise RefusedError(f"{what} is {'not ' if source is None else ''}on: look with `ecg-monitor alarms`")
    now_ms = time.time_ns() // 1_000_000
    for name, one in found.items():
        value = control_message.encode_acknowledgement(name, by, now_ms, note)
        version = write_control(
            config, control_message.acknowledge_key(one.kind, one.source), value, "ecg-monitor alarms"
        )
        show(f"{name}: acknowledged by {printable(by)}, version {version}")
