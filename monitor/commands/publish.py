"""The command `publish`: beats out of files onto the beats topic."""

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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.broker import Publisher
    from monitor.records.record import Message
    from monitor.settings import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--sources", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Deal beats to N leads."
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Beats a second over all sources [default: no limit]."
)
@click.option("--format", "form", type=click.Choice(["float32", "json"]), default="float32", show_default=True)
@click.option(
    "--start",
    "start_ms",
    metavar="TIME",
    callback=lambda *given: _milliseconds(given[2]),
    help="RFC 3339 time of each source's first beat, then one every 0.8 s [default: stamped when sent].",
)
@click.option("--shuffle", type=int, metavar="SEED", help="Publish in an order drawn from SEED.")
@click.option("--loop", is_flag=True, help="Begin again at the end, until Ctrl-C.")
def publish(files: tuple[Path, ...], **options: Any) -> None:
    """Publish the beats of FILE... (ECG5000 as .txt, .tsv or .csv; your own .csv or .npy, 140 columns).

    A label column goes into the record header `label`, which the monitor never reads.
    """
    wanted, plan, stock = settings.read(), stream.PublishPlan(**options), stream.load(files)
    _warn_of_retention(wanted, plan)
    items = stream.paced(stream.messages(stock, wanted.beats_topic, plan), plan.rate)
    length = None if plan.loop else len(stock.samples)
    with closing(broker.Publisher(wanted)) as publisher:
        with click.progressbar(items, length=length, label="publishing", file=sys.stderr, show_pos=True) as bar:
            sent = send_all(publisher, bar)
        publisher.flush()
    click.echo(f"{sent} beats of {plan.sources} sources published to {wanted.beats_topic}")


def _milliseconds(time: str | None) -> int | None:
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise click.BadParameter(f"{time!r} is no time such as 2026-11-24T10:00:00Z") from error
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _warn_of_retention(wanted: Settings, plan: stream.PublishPlan) -> None:
    """Kafka deletes records by their own timestamps: beats stamped long ago may be gone at once."""
    kept_ms = None if plan.start_ms is None else broker.retention_ms(wanted, wanted.beats_topic)
    if plan.start_ms is None or kept_ms is None:
        return
    if plan.start_ms < 1000 * datetime.now(UTC).timestamp() - kept_ms:
        click.echo(
            f"warning: {wanted.beats_topic} keeps records for {kept_ms / 3_600_000:g} hours by their own timestamps: "
            "beats that start earlier are deleted soon, perhaps before they are read",
            err=True,
        )


def send_all(publisher: Publisher, items: Iterable[tuple[Message, int | None]]) -> int:
    """Send until the items end or Ctrl-C; how many were handed to the producer.

    Ctrl-C waits for the record that is being handed over: one that the client took by half would hold up its `flush`.
    A second one does not wait.
    """
    sent, is_sending, is_asked = 0, False, False

    def note(*_: object) -> None:
        nonlocal is_asked
        if is_asked or not is_sending:
            raise KeyboardInterrupt
        is_asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        for message, stamp in items:
            is_sending = True
            publisher.send(message, stamp)
            is_sending = False
            sent += 1
            if is_asked:
                break
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, before)
    return sent
