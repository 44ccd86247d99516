"""The file `.env`: what is wrong with it, before the settings are read from it.

The library that reads it passes over lines that it does not understand, and over a folder of that name: the defaults
would be used unsaid.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.errors import RefusedError

MAX_BYTES = 1024 * 1024
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?:'[^']+'|[\w.]+)\s*=\s*(?P<value>.*)", re.DOTALL)
_NOTHING = re.compile(r"\s*(?:#.*)?")
_NAME = re.compile(r"\W*(MONITOR_\w{1,60})", re.IGNORECASE)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_QUOTED = {quote: re.compile(rf"{quote}(?:\\.|[^\\{quote}])*{quote}", re.DOTALL) for quote in "'\""}


def check_env_file(path: Path) -> None:
    """Raise RefusedError, with the file and the line, for what the settings cannot be read from. None need be there."""
    if not path.exists():
        return
    if not path.is_file():
        raise RefusedError(f"{path} is no file: it must have lines NAME=value, or not be there")
    lines = _text(path).splitlines()
    number = 0
    while number < len(lines):
        number += _lines_of_statement(path, lines, number)


def _lines_of_statement(path: Path, lines: list[str], first: int) -> int:
    """How many lines an assignment has: a quoted value may have several."""
    line = lines[first]
    if _NOTHING.fullmatch(line):
        return 1
    found = _ASSIGNMENT.fullmatch(line)
    if found is None:
        name = _NAME.match(line)
        example = f"{name[1].upper()}=value" if name else "NAME=value"
        raise RefusedError(f"{path}, line {first + 1}: this is no setting: write {example}")
    quoted = _QUOTED.get(found["value"][:1])
    if quoted is None:
        return 1
    value = quoted.match("\n".join([found["value"], *lines[first + 1 :]]))
    if value is None:
        raise RefusedError(f"{path}, line {first + 1}: the quote is not closed")
    return 1 + value[0].count("\n")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise RefusedError(f"{path} has more than {MAX_BYTES} bytes: it must have lines NAME=value")
    if content.startswith(_UTF16) or b"\0" in content:
        line = content.split(b"\0")[0].count(b"\n") + 1
        raise RefusedError(f"{path}, line {line}: this is not UTF-8 (UTF-16?): save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RefusedError(f"{path}, line {line}: this is not UTF-8 (Latin-1?): save it as UTF-8") from None
