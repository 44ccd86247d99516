"""One file for each command of `ecg-monitor`, named like the command."""

from __future__ import annotations

import click

from monitor.terminal import printable


def show(text: str, *, err: bool = False) -> None:
    """Print lines of text. Every command prints with this: what comes from a topic may hold control sequences."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)
