"""A progress bar for a training: the epochs that are done, the loss and the remaining time."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def bar(length: int) -> Iterator[Callable[[float], None]]:
    """Show a bar of `length` epochs on standard error. Gives a function to call with the loss after each epoch."""
    with click.progressbar(
        length=length,
        label="training",
        file=sys.stderr,
        item_show_func=lambda loss: None if loss is None else f"loss {loss:.4f}",
    ) as shown:
        yield lambda loss: shown.update(1, loss)
