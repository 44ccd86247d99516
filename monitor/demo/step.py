"""A step of the demo that is a command of its own, as a person would type it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click

from monitor.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def trainer(*arguments: str) -> list[str]:
    """The command line of `ecg-trainer`."""
    return [sys.executable, "-m", "trainer", *arguments]


def run(what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Say what comes and run it. Raises MonitorError unless it ends with exit code 0."""
    if code := exit_code(what, command, environment):
        raise MonitorError(f"{what} ended with exit code {code}; the reason is printed above")


def exit_code(what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """The same for a step that may fail."""
    click.echo(f"— {what}")
    return subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - our own commands
