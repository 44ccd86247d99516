"""The command `topics create`."""

from __future__ import annotations

import click

from monitor import broker, settings
from monitor.commands import show


@click.group()
def topics() -> None:
    """Create the Kafka topics that the monitor needs."""


@topics.command()
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=4,
    show_default=True,
    help="Partitions of each new topic (control topic: 1). At most this many monitors can share the work.",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(-1),
    default=-1,
    show_default=True,
    help="Copies of each partition; -1 means the broker's default.",
)
@click.option(
    "--retention-hours",
    type=click.FloatRange(0, min_open=True),
    default=168,
    show_default=True,
    help="How long beats, scores, alerts and dead letters are kept.",
)
def create(partitions: int, replication_factor: int, retention_hours: float) -> None:
    """Create the topics that do not exist yet.

    Topics that exist are not changed, with one exception: the topics of state and of profiles get as many partitions as
    the beats topic.
    """
    for line in broker.create_topics(
        settings.read(), broker.TopicPlan(partitions, replication_factor, retention_hours)
    ):
        show(line)
