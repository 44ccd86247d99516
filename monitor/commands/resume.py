"""The command `resume`: alarms call again before their pause ends."""

from __future__ import annotations

import time

import click

from monitor import settings
from monitor.alarms import control_message
from monitor.commands import show, write_control
from monitor.commands.pause import BY, EACH, LOOK, NOTE, SOURCE, pause_key, whose
from monitor.terminal import printable


@click.command()
@SOURCE
@EACH
@BY
@NOTE
def resume(*, source: str | None, is_all: bool, by: str, note: str) -> None:
    """Let alarms call again before their pause ends.

    Give one of --source and --all, as in the command `pause`: a source that is paused with all others is not resumed
    alone. What is on is announced within a second or so.
    """
    key = pause_key(source, is_all=is_all)
    value = control_message.encode_pause(by, time.time_ns() // 1_000_000, None, note, is_on=False)
    show(f"{whose(source)}: resumed by {printable(by)}, version {write_control(settings.read(), key, value, LOOK)}")
