"""Numbers in sentences."""

from __future__ import annotations

from monitor.terminal import count_of


def count(number: int, noun: str) -> str:
    """A number with its noun, thousands set apart: 1 beat, 2,000 beats."""
    return f"{number:,} {count_of(number, noun).split(maxsplit=1)[1]}"
