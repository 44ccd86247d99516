"""The command line of `ecg-trainer`: all its commands, and its exit codes."""

from __future__ import annotations

import sys
from importlib.metadata import version

import click

from monitor.commands import show
from monitor.errors import MonitorError
from trainer.commands.calibrate import calibrate
from trainer.commands.denoise import denoise
from trainer.commands.denoiser import denoiser
from trainer.commands.ecg import ecg
from trainer.commands.evaluate import evaluate
from trainer.commands.fetch import fetch


def main() -> None:
    """Entry point. A failure is reported in one sentence and with its exit code, never with a traceback."""
    try:
        commands(prog_name="ecg-trainer")
    except MonitorError as error:
        show(f"error: {error.for_command()}", err=True)
        sys.exit(error.exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("ecg-monitor"), prog_name="ecg-trainer")
def commands() -> None:
    """Train the model that `ecg-monitor` uses to score heartbeats. Not a medical device."""


for command in (fetch, ecg, calibrate, evaluate, denoiser, denoise):
    commands.add_command(command)
