"""The command line of `ecg-monitor`: all its commands, and its exit codes."""

from __future__ import annotations

import sys

import click

from monitor import log
from monitor.alarms.alert import VERSION
from monitor.commands import show
from monitor.commands.acknowledge import acknowledge
from monitor.commands.alarms import alarms
from monitor.commands.alerts import alerts
from monitor.commands.backtest import backtest
from monitor.commands.check import check
from monitor.commands.dead_letters import dead_letters
from monitor.commands.demo import demo
from monitor.commands.forward import forward
from monitor.commands.pause import pause
from monitor.commands.profile import profile
from monitor.commands.publish import publish
from monitor.commands.resume import resume
from monitor.commands.run import run
from monitor.commands.score import score
from monitor.commands.source import source
from monitor.commands.threshold import threshold
from monitor.commands.topics import topics
from monitor.errors import DEFECT_EXIT_CODE, MonitorError


def main() -> None:
    """Entry point: a MonitorError becomes one sentence and its exit code, any other error a traceback and 70."""
    log.silence_client()
    try:
        commands()
    except MonitorError as error:
        show(f"error: {error.for_command()}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - a defect of the monitor: nothing but the exit code is left to do
        log.crashed(error)
        sys.exit(DEFECT_EXIT_CODE)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ecg-monitor")
def commands() -> None:
    """Streaming ECG anomaly monitor: reads beats from Kafka and raises alerts.

    Not a medical device.

    Settings are environment variables whose names begin with MONITOR_, or lines of the file .env in the current folder.
    The command `check` prints all of them. To see everything at work, run the command `demo`.
    """


COMMANDS = (
    run,
    score,
    backtest,
    publish,
    alerts,
    alarms,
    acknowledge,
    pause,
    resume,
    forward,
    source,
    threshold,
    profile,
    dead_letters,
    topics,
    check,
    demo,
)
for command in COMMANDS:
    commands.add_command(command)
