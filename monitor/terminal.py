"""What a command prints and what a log says, without characters that a terminal obeys.

Names, notes and whole records come from topics, and anybody who may write there chooses their characters: escape
sequences (C0 and C1), marks that turn the direction of text, separators that begin a line. Every output goes through
here.
"""

from __future__ import annotations


def count_of(number: int, noun: str) -> str:
    """A number with its noun, thousands set apart: 1 beat, 2,000 beats, 2 entries, 2 people."""
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun == "person":
        return "people"
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


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
