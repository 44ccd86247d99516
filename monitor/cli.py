"""The commands of `ecg-monitor`; the one place that knows which parts are plugged together."""

from __future__ import annotations

import itertools
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor import broker, letters, log, publish, settings, terminal, tuning
from monitor.alert import VERSION
from monitor.errors import MonitorError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.settings import Settings


def main() -> None:
    """Entry point: a fault of ours is one sentence and its exit code, never a traceback."""
    log.silence_client()
    try:
        commands()
    except MonitorError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ecg-monitor")
def commands() -> None:
    """Streaming ECG anomaly monitor: reads beats from Kafka, raises alerts. Not a medical device.

    Every setting is a variable MONITOR_*, or stands in the file .env; `ecg-monitor check` lists them.
    """


commands.add_command(letters.dead_letters)


@commands.command()
def run() -> None:
    """Run the daemon until SIGTERM or SIGINT; a second signal ends it at once."""
    from monitor import daemon  # noqa: PLC0415 - brings torch, which the other commands start without

    daemon.run(settings.read())


@commands.command(name="publish")
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
def publish_command(files: tuple[Path, ...], **options: Any) -> None:
    """Publish the beats of FILE... (ECG5000 as .txt, .tsv or .csv; your own .csv or .npy, 140 columns).

    A label column goes into the record header `label`, which the monitor never reads.
    """
    wanted, plan, stock = settings.read(), publish.Plan(**options), publish.load(files)
    _warn_of_retention(wanted, plan)
    items = publish.paced(publish.messages(stock, wanted.beats_topic, plan), plan.rate)
    length = None if plan.loop else len(stock.samples)
    with closing(broker.Publisher(wanted)) as publisher:
        with click.progressbar(items, length=length, label="publishing", file=sys.stderr, show_pos=True) as bar:
            sent = publish.send_all(publisher, bar)
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


def _warn_of_retention(wanted: Settings, plan: publish.Plan) -> None:
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


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="One line of JSON an alert, as it is on the topic.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest alert that is kept, not with the next.")
@click.option("--count", type=click.IntRange(1), help="End after this many [default: follow until Ctrl-C].")
def alerts(*, as_json: bool, from_beginning: bool, count: int | None) -> None:
    """Follow the alerts, with the beat and its reconstruction drawn."""
    wanted = settings.read()
    with broker.Reader(wanted, wanted.alerts_topic, from_beginning=from_beginning) as reader:
        try:
            for record in itertools.islice(_follow(reader), count):
                line = (record.value or b"").decode(errors="replace") if as_json else terminal.readable(record.value)
                click.echo(line)
        except KeyboardInterrupt:
            pass


def _follow(reader: broker.Reader) -> Iterable[Any]:
    while True:
        yield from reader.poll()


@commands.group()
def topics() -> None:
    """The Kafka topics."""


@topics.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), default=4, show_default=True)
@click.option(
    "--replication-factor", type=click.IntRange(-1), default=-1, show_default=True, help="-1: as the broker does."
)
@click.option("--retention-hours", type=click.FloatRange(0, min_open=True), default=168, show_default=True)
def create(partitions: int, replication_factor: int, retention_hours: float) -> None:
    """Make the topics that are missing; those that are there are left as they are.

    But for the state topic, which gets as many partitions as the beats have grown to.
    """
    for line in broker.create_topics(
        settings.read(), broker.TopicPlan(partitions, replication_factor, retention_hours)
    ):
        click.echo(line)


commands.add_command(tuning.threshold)


@commands.command()
def check() -> None:
    """Look at settings, model and broker, and say what is wrong."""
    wanted = settings.read()
    for name, value in wanted.shown().items():
        click.echo(f"{name}={value}")
    worst = 0
    for what, look in (("model", _check_model), ("broker", _check_broker)):
        try:
            click.echo(f"{what}: {look(wanted)}")
        except MonitorError as error:
            click.echo(f"{what}: {error}", err=True)
            worst = max(worst, error.exit_code)
    sys.exit(worst)


def _check_model(wanted: Settings) -> str:
    from monitor import artifact  # noqa: PLC0415 - brings torch

    manifest = artifact.load(wanted.model, wanted.device).manifest
    return f"{manifest.model_id} loads and scores its golden beats, threshold {manifest.threshold.value:g}"


def _check_broker(wanted: Settings) -> str:
    missing = broker.missing_topics(wanted, broker.COMMAND_SECONDS)
    if missing:
        raise RefusedError(f"no topic {', '.join(missing)}: `ecg-monitor topics create` makes it")
    return f"{wanted.bootstrap_servers} answers, the topics are there"


@commands.command()
@click.option("--data", type=click.Path(path_type=Path), help="Folder with ECG5000 [default: fetched].")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
def demo(data: Path | None, out: Path) -> None:
    """Train, publish 20,000 beats to an embedded broker, watch them, and sum up against the labels."""
    from monitor import demo as show  # noqa: PLC0415 - needs the extras `trainer` and `embedded`

    sys.exit(show.main(data, out))
