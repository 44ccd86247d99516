"""Every message that a test sees is checked against the published schemas, `docs/schemas/`."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from monitor.alarms.alert_fields import AlertFields, ScoreFields
from monitor.alarms.episode_state import StateRow
from monitor.beats.beat import FLOAT32_BYTES
from monitor.broker.writing.replayer import ledger_topic
from monitor.deadletters.letter import OWN_HEADERS

if TYPE_CHECKING:
    from monitor.records.record import Checkpoint, Headers, Message
    from monitor.settings import Settings

BY_SCHEMA = 500  # messages of a kind in one run
TYPES: dict[str, TypeAdapter[Any]] = {
    "alert": TypeAdapter(AlertFields),
    "score": TypeAdapter(ScoreFields),
    "state": TypeAdapter(StateRow),
}
seen: Counter[str] = Counter()
OF_BYTES = ("profile", "dead-letter", "beat-bytes")
FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    """That of a schema file, with its formats."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def faults(name: str, content: Any) -> list[str]:
    """What a message, or its headers, have that their schema does not allow."""
    return [f"{name}{error.json_path[1:]}: {error.message}" for error in validator(name).iter_errors(content)]


@lru_cache(maxsize=10_000)
def faults_of_value(name: str, value: bytes | None) -> list[str]:
    """The same of a value as it is on its topic. Tests write the same ones again and again.

    Tests write ten thousands of scores and rows: after the first ones, the type is asked that the schema is made from,
    which takes a fiftieth of the time.
    """
    if name in TYPES and value is not None:
        seen[name] += 1
        if seen[name] > BY_SCHEMA:
            return [] if TYPES[name].validate_json(value, strict=True) else [name]
    if value is None or name in OF_BYTES:  # JSON Schema has no bytes: text of one character a byte
        return faults(name, value if value is None else value.decode("latin-1"))
    return faults(name, orjson.loads(value))


@lru_cache(maxsize=10_000)
def faults_of_headers(name: str, headers: Headers) -> list[str]:
    if name == "dead-letter-headers":  # those of the refusal come after the record's own
        omitted = sum(header == "omitted" for header, _ in headers[-2:])
        headers = headers[len(headers) - omitted - len(OWN_HEADERS) :]
    return faults(name, {header: (value or b"").decode() for header, value in headers})


class Published:
    """What is published about the topics that monitors write. Other topics are anybody's."""

    def __init__(self, settings: Settings) -> None:
        rows, ledger = "row-headers", ledger_topic(settings)
        self._schemas = {  # topic -> schemas of value and of headers
            settings.alerts_topic: ("alert", "alert-headers"),
            settings.scores_topic: ("score", ""),
            settings.state_topic_name: ("state", rows),
            settings.profiles_topic_name: ("profile", rows),
            settings.dead_letters_topic: ("dead-letter", "dead-letter-headers"),
            ledger: ("ledger-entry", ""),
        }
        self._compacted = {settings.state_topic_name, settings.profiles_topic_name, ledger}

    def check(self, topic: str, value: bytes | None, headers: Headers) -> None:
        """Fail for a message of a monitor that is not as published."""
        if topic not in self._schemas:
            return
        of_value, of_headers = self._schemas[topic]
        wrong = faults_of_value("removed" if value is None and topic in self._compacted else of_value, value)
        wrong = wrong + (faults_of_headers(of_headers, headers) if of_headers else [])
        assert not wrong, (topic, wrong[:3])


def check_beat(message: Message) -> None:
    """Fail for a beat of a publisher that is not as published."""
    of_value = "beat-bytes" if len(message.value or b"") == FLOAT32_BYTES else "beat"
    wrong = faults_of_value(of_value, message.value) + faults_of_headers("beat-headers", message.headers)
    assert not wrong, wrong[:3]


class CheckedBroker:
    """A broker that takes only messages as they are published."""

    def __init__(self, broker: Any, settings: Settings) -> None:
        self._broker, self._published = broker, Published(settings)
        self._known: Checkpoint | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def begin(self, checkpoint: Checkpoint) -> None:
        self._check(checkpoint)
        self._broker.begin(checkpoint)

    def deliver(self, checkpoint: Checkpoint) -> None:
        self._check(checkpoint)
        self._broker.deliver(checkpoint)

    def _check(self, checkpoint: Checkpoint) -> None:
        for one in (*checkpoint.messages, *checkpoint.deletions) if checkpoint is not self._known else ():
            self._published.check(one.topic, one.value, one.headers)
        self._known = checkpoint
