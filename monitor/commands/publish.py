"""The command `publish`: sends the beats of files to the beats topic."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor import broker, settings
from monitor.beats import stream
from monitor.commands import count_of, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.broker import Publisher
    from monitor.records.record import Message
    from monitor.settings import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--sources",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="Distribute the beats in turn over this many sources: source-00000, source-00001 and so on.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Send at most this many beats per second, all sources together.  [default: no limit]",
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
    "--start",
    "start_ms",
    metavar="TIME",
    callback=lambda *given: _milliseconds(given[2]),
    help="Time of the first beat of each source, for example 2026-11-24T10:00:00Z; then one beat every 0.8 s.  "
    "[default: the time at which a beat is sent]",
)
@click.option("--shuffle", type=int, metavar="SEED", help="Publish in random order; each SEED gives one order.")
@click.option("--loop", is_flag=True, help="Start again after the last beat, until Ctrl-C.")
def publish(files: tuple[Path, ...], **options: Any) -> None:
    """Publish the beats of files to the beats topic.

    FILE... is ECG5000 (.txt, .tsv or .csv), or your own .csv or .npy: one beat in each row, 140 samples and an optional
    label. The label goes into the record header `label`, which the monitor does not read.
    """
    config, plan, beats = settings.read(), stream.PublishPlan(**options), stream.load(files)
    _warn_of_retention(config, plan)
    items = stream.paced(stream.messages(beats, config.beats_topic, plan), plan.rate)
    length = None if plan.loop else len(beats.samples)
    with closing(broker.Publisher(config)) as publisher:
        with click.progressbar(items, length=length, label="publishing", file=sys.stderr, show_pos=True) as bar:
            sent = send_all(publisher, bar)
        publisher.flush()
    sources = count_of(plan.sources, "source")
    show(f"{count_of(sent, 'beat')} of {sources} published to {config.beats_topic}")


def _milliseconds(time: str | None) -> int | None:
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise click.BadParameter(f"{time!r} is not a time; a time looks like 2026-11-24T10:00:00Z") from error
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _warn_of_retention(config: Settings, plan: stream.PublishPlan) -> None:
    """Kafka deletes records by their own timestamps, so beats with old timestamps may be deleted at once."""
    kept_ms = None if plan.start_ms is None else broker.retention_ms(config, config.beats_topic)
    if plan.start_ms is None or kept_ms is None:
        return
    if plan.start_ms < 1000 * datetime.now(UTC).timestamp() - kept_ms:
        show(
            f"warning: {config.beats_topic} keeps records for {_hours(kept_ms)} by their own timestamps: Kafka "
            "deletes older beats soon, perhaps before they are read",
            err=True,
        )


def _hours(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


def send_all(publisher: Publisher, items: Iterable[tuple[Message, int | None]]) -> int:
    """Send the messages until there are no more or Ctrl-C; returns how many the client has accepted.

    Ctrl-C takes effect after the message that is being handed to the client: the client's `flush` would wait for a
    message that it has accepted in part only. A second Ctrl-C takes effect at once.
    """
    sent, is_sending, must_stop = 0, False, False

    def on_interrupt(*_: object) -> None:
        nonlocal must_stop
        if must_stop or not is_sending:
            raise KeyboardInterrupt
        must_stop = True

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        for message, timestamp_ms in items:
            is_sending = True
            publisher.send(message, timestamp_ms)
            is_sending = False
            sent += 1
            if must_stop:
                break
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, previous)
    return sent
