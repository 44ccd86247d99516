"""The command `pause`: for a while alarms call nobody."""

from __future__ import annotations

import re
import time

import click

from monitor import settings
from monitor.alarms import control_message
from monitor.alarms.pauses import ALL
from monitor.commands import show, user_name, write_control
from monitor.records.record import rfc3339
from monitor.terminal import printable

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_SECONDS = 30 * 86_400
LOOK = "ecg-monitor alarms"
SOURCE = click.option("--source", metavar="NAME", help="The source.")
EACH = click.option("--all", "is_all", is_flag=True, help="All sources.")
BY = click.option("--by", default=user_name, show_default="your user name", help="Who gives the command.")
NOTE = click.option("--note", default="", metavar="TEXT", help="A remark.")


@click.command()
@SOURCE
@EACH
@click.option("--for", "lasting", metavar="TIME", help="How long: 90s, 30m, 2h, 1d.")
@click.option("--until-resumed", is_flag=True, help="Without an end.")
@BY
@NOTE
def pause(*, source: str | None, is_all: bool, lasting: str | None, until_resumed: bool, by: str, note: str) -> None:
    """Let alarms call nobody for a while.

    Give one of --source and --all, and one of --for and --until-resumed. Alarms go on meanwhile: what is still on when
    the pause ends is announced then. It holds for beats by their own time, from now on.
    """
    key = pause_key(source, is_all=is_all)
    if (lasting is None) == (not until_resumed):
        raise click.UsageError("give one of --for and --until-resumed")
    now_ms = time.time_ns() // 1_000_000
    until_ms = None if lasting is None else now_ms + 1000 * seconds_of(lasting)
    version = write_control(settings.read(), key, control_message.encode_pause(by, now_ms, until_ms, note), LOOK)
    end = "until somebody resumes" if until_ms is None else f"until {rfc3339(until_ms)}"
    show(f"{whose(source)}: paused {end} by {printable(by)}, version {version}")


def seconds_of(text: str) -> int:
    """The seconds in a text such as 30m. Raises click.BadParameter."""
    found = re.fullmatch(r"([0-9]{1,7})([smhd])", text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= MAX_SECONDS:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m, 2h or 1d, of at most 30d")
    return seconds


def pause_key(source: str | None, *, is_all: bool) -> bytes:
    """The record key for one of the options --source and --all. Raises click.UsageError where not one is given."""
    if (source is None) == (not is_all):
        raise click.UsageError("give one of --source and --all")
    return control_message.pause_key(ALL.decode() if source is None else source)


def whose(source: str | None) -> str:
    """What is shown for a source, or for all."""
    return "all sources" if source is None else printable(source)
