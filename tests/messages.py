"""Every message that a test sees is checked against the published schemas, `docs/schemas/`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import Draft202012Validator

from monitor.broker.writing.replayer import ledger_topic
from monitor.deadletters.letter import OWN_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.records.record import Headers, Message
    from monitor.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    """That of a schema file, with its formats."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def faults(name: str, content: Any) -> list[str]:
    return [f"{name}{error.json_path[1:]}: {error.message}" for error in validator(name).iter_errors(content)]


def checked(settings: Settings, messages: Iterable[Message]) -> list[Message]:
    """The messages of a monitor, of which each on a topic that it writes must be as published."""
    found = list(messages)
    for one in found:
        check(settings, one.topic, one.value, one.headers)
    return found


def check(settings: Settings, topic: str, value: bytes | None, headers: Headers) -> None:
    """Fail for a message on a topic that monitors write which is not as published. Other topics are anybody's."""
    names = {
        settings.alerts_topic: ("alert", "alert-headers"),
        settings.scores_topic: ("score", None),
        settings.state_topic_name: ("state", "row-headers"),
        settings.profiles_topic_name: ("profile", "row-headers"),
        settings.dead_letters_topic: ("dead-letter", "dead-letter-headers"),
        ledger_topic(settings): ("ledger-entry", None),
    }
    if topic in names:
        schema, of_headers = names[topic]
        is_row = of_headers == "row-headers"
        wrong = faults("removed" if is_row and value is None else schema, content(schema, value))
        if of_headers is not None:
            wrong += faults(of_headers, texts(headers, is_letter=schema == "dead-letter"))
        assert not wrong, (topic, wrong[:3])


def content(schema: str, value: bytes | None) -> Any:
    """A value as its schema speaks of it: JSON, or bytes as text of one character a byte."""
    if value is None:
        return None
    return value.decode("latin-1") if schema in {"profile", "dead-letter", "beat-bytes"} else orjson.loads(value)


def texts(headers: Headers, *, is_letter: bool = False) -> dict[str, str]:
    """Headers as their schema speaks of them; of a letter, those of its refusal, which come after the record's own."""
    if is_letter:
        omitted = sum(name == "omitted" for name, _ in headers[-2:])
        headers = headers[len(headers) - omitted - len(OWN_HEADERS) :]
    return {name: (value or b"").decode() for name, value in headers}
