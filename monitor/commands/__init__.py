"""One file for each command of `ecg-monitor`, named like the command. What several of them read is here."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from monitor.terminal import printable


def show(text: str, *, err: bool = False) -> None:
    """Print lines of text. Every command prints with this: what comes from a topic may hold control sequences."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def milliseconds_of(text: str) -> int:
    """Milliseconds since the epoch of a time in ISO 8601, in UTC without an offset. Raises click.BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time; a time looks like 2026-11-24T10:00:00Z") from error
    return int(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
