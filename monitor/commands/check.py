"""The command `check`: settings, model and broker, and what is wrong with each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from monitor import broker, settings
from monitor.errors import MonitorError, RefusedError

if TYPE_CHECKING:
    from monitor.settings import Settings


@click.command()
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
    from monitor.model import artifact  # noqa: PLC0415 - brings torch

    manifest = artifact.load(wanted.model, wanted.device).manifest
    return f"{manifest.model_id} loads and scores its golden beats, threshold {manifest.threshold.value:g}"


def _check_broker(wanted: Settings) -> str:
    missing = broker.missing_topics(wanted, broker.COMMAND_SECONDS)
    if missing:
        raise RefusedError(f"no topic {', '.join(missing)}: `ecg-monitor topics create` makes it")
    return f"{wanted.bootstrap_servers} answers, the topics are there"
