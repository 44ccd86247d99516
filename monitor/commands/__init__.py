"""One file for each command of `ecg-monitor`, named like the command. What several of them read is here."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from monitor.errors import BrokerError, RefusedError
from monitor.terminal import printable

if TYPE_CHECKING:
    from monitor.settings import Settings

FIRST_YEAR, LAST_YEAR = 1971, 9000  # Kafka counts from 1970; beats of a recording follow the time that is given


def show(text: str, *, err: bool = False) -> None:
    """Print lines of text. Every command prints with this: what comes from a topic may hold control sequences."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def require_recordings() -> None:
    """Raise RefusedError where the extra `recordings` is not installed."""
    try:
        from monitor.recordings import Segmenter  # noqa: F401, PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        raise RefusedError(str(error)) from error


LEAD_OPTION = click.option("--lead", help="Lead of a recording, by name or by number from 0.  [default: the first]")
TABLE_OPTIONS = ("column", "hz", "unit")  # with one of them a CSV file is no file of beats


def table_options(others: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a CSV recording, for a command that takes them for `others` as well."""
    options = (
        click.option(
            "--hz", type=click.FloatRange(0, min_open=True), help=f"Samples a second, of CSV without times{others}."
        ),
        click.option("--unit", help=f"Unit of CSV{others}: mV, uV, V, nV, or adc/200 for 200 counts to the mV."),
        click.option("--column", help="Column of a CSV recording, by name or by number from 0."),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def milliseconds_of(text: str) -> int:
    """Milliseconds since the epoch of a time in ISO 8601, in UTC without an offset. Raises click.BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time; a time looks like 2026-11-24T10:00:00Z") from error
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise click.BadParameter(f"{text!r} is not a time from {FIRST_YEAR} to {LAST_YEAR}, as Kafka can keep it")
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def user_name() -> str:
    """The name of the user who runs the command; empty where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the user of a container may have no name
        return ""


def write_control(config: Settings, key: bytes, value: bytes | None, look: str) -> int:
    """Write one record to the control topic, read it back, and return its offset.

    The reader is opened first: it raises an error where the topic does not exist. A producer alone would make some
    brokers create the topic, and that one would not be compacted. `look`: the command that shows what is there.
    """
    from monitor import broker  # noqa: PLC0415 - `ecg-trainer` reads this file as well, and needs no broker
    from monitor.records.record import Message  # noqa: PLC0415

    topic = config.control_topic
    with broker.Reader(config, topic, from_beginning=False) as reader:
        with closing(broker.Publisher(config)) as publisher:
            publisher.send(Message(topic, key, value))
            publisher.flush()
        offsets = [record.offset for record in reader.until_end() if (record.key, record.value) == (key, value)]
    if not offsets:
        raise BrokerError(f"the record was written to {topic} but could not be read back: look with `{look}`")
    return int(offsets[-1])
