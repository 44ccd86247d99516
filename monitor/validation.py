"""Turns an error of pydantic into one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import ValidationError

MAX_FIELD_CHARACTERS = 60  # field names may come from a file that somebody made to do harm


def first_error(error: ValidationError, name: Callable[[str], str] = str) -> str:
    """The first thing that is wrong, as `field: what is wrong`. The value itself is left out: it may be a secret.

    `name` turns the path of the field (`threshold.value`) into the name that the reader knows. A fault of the whole
    text is reported as `its JSON: ...`. A ValueError of our own check, about several fields, is quoted unchanged.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    sentence = first["msg"].removeprefix("Value error, ")
    path = ".".join(map(str, first["loc"]))[:MAX_FIELD_CHARACTERS]
    if not path and first["type"] == "value_error":
        return sentence
    return f"{name(path) if path else 'its JSON'}: {sentence[:1].lower()}{sentence[1:]}"
