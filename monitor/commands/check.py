"""The command `check`: prints the settings and tests the model file and the broker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from monitor import broker, settings
from monitor.commands import show
from monitor.errors import MonitorError, RefusedError

if TYPE_CHECKING:
    from monitor.settings import Settings


@click.command()
def check() -> None:
    """Check the settings, the model file and the broker.

    Prints every setting as a file `.env` has it, loads the model, connects to the broker, looks for the topics and for
    the rights that the monitor needs, and compares the clocks. The exit code is 0 if there is no problem, 1 if the
    broker cannot be reached, and 2 if a setting or the model is wrong, or a topic or a right is missing.
    """
    config = settings.read()
    for line in config.env_lines():
        show(line)
    codes, profiles = [0], False
    try:
        profiles = _check_model(config)
    except MonitorError as error:
        codes.append(_refused("model", error))
    try:
        _check_broker(config, profiles=profiles)
    except MonitorError as error:
        codes.append(_refused("broker", error))
    sys.exit(max(codes))


def _refused(what: str, error: MonitorError) -> int:
    show(f"{what}: {error}", err=True)
    return error.exit_code


def _check_model(config: Settings) -> bool:
    """Check the model; whether profiles are used with it."""
    from monitor.model import artifact  # noqa: PLC0415 - loads the scorer, perhaps torch
    from monitor.pipeline.personal import uses_profiles  # noqa: PLC0415

    manifest = artifact.load(config.model, config.device).manifest
    show(
        f"# model: {manifest.model_id} loads and scores its golden beats, threshold {manifest.threshold.value:g}; "
        f"its beats: {manifest.window.cut}"
    )
    return uses_profiles(config, manifest.window.cut)


def _check_broker(config: Settings, *, profiles: bool) -> None:
    """Check the broker. `profiles`: whether profiles are used."""
    missing = broker.missing_topics(config, broker.COMMAND_SECONDS, profiles=profiles)
    if missing:
        raise RefusedError(f"no topic {', '.join(missing)}: `ecg-monitor topics create` makes it")
    broker.check_delivery(config, profiles=profiles)
    client = broker.kafka_client(config).name
    show(f"# broker: {config.bootstrap_servers} answers {client}, the topics and the rights are there")
