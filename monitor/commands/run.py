"""The command `run`: the daemon."""

from __future__ import annotations

import click

from monitor import settings


@click.command()
def run() -> None:
    """Run the daemon until SIGTERM or SIGINT; a second signal ends it at once."""
    from monitor import daemon  # noqa: PLC0415 - brings torch, which the other commands start without

    daemon.run(settings.read())
