"""What a command prints and what a log says, without characters that a terminal obeys.

Names, notes and whole records come from topics, and anybody who may write there chooses their characters: escape
sequences (C0 and C1), marks that turn the direction of text, separators that begin a line. Every output goes through
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_WIDTH = 60  # of a column: a longer cell moves those behind it, in its own line alone


def count_of(number: int, noun: str) -> str:
    """A number with its noun, thousands set apart: 1 beat, 2,000 beats, 2 entries, 2 people."""
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun == "person":
        return "people"
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines, their cells below each other. All rows have as many cells as the first one, the header."""
    widths = [min(MAX_WIDTH, max(map(len, column))) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def printable(text: str) -> str:
    """The text with each character that is not printable replaced by U+FFFD."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)


def printable_json(text: str) -> str:
    """A JSON text in one line with each character that is not printable as an escape, which means the same.

    Such characters stand in strings only: JSON allows no other ones between them but blanks.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\t\r\n":  # between the tokens: in a string JSON allows none of them
        return " "
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
