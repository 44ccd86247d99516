"""The command `run`: the daemon."""

from __future__ import annotations

import click

from monitor import settings


@click.command()
def run() -> None:
    """Run the monitor until it is stopped.

    Reads beats from Kafka, scores them, and writes alerts. SIGTERM or Ctrl-C stops it as soon as the alerts for
    everything it has judged are written. A second signal ends it at once. Beats that it had not finished are read again
    by the next monitor, so no alert is lost.
    """
    from monitor import daemon  # noqa: PLC0415 - loads the Kafka client and the model, which no help needs

    daemon.run(settings.read())
