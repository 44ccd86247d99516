"""The command `topics create`."""

from __future__ import annotations

import click

from monitor import broker, settings


@click.group()
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
