"""Puts a generated table between two lines of a page."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_table(text: str, begin: str, end: str, table: Sequence[str]) -> str:
    """The text of a page with this table, one string a row, between the lines `begin` and `end`."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "".join([before, begin, "\n", *(f"{row}\n" for row in table), "\n", end, after])
