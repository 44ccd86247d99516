"""A progress bar that says the loss and the time left."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def bar(length: int) -> Iterator[Callable[[float], None]]:
    """Gives what is to be called with the loss after each of `length` passes."""
    with click.progressbar(
        length=length,
        label="training",
        file=sys.stderr,
        item_show_func=lambda loss: None if loss is None else f"loss {loss:.4f}",
    ) as shown:
        yield lambda loss: shown.update(1, loss)
