"""JSON Schemas (draft 2020-12) of every kind of message, made from the types that write and read them."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from monitor.alarms.alert_fields import ALERT_EVENTS, AlertFields, ScoreFields
from monitor.alarms.cloud_event import TRACEPARENT, TYPE
from monitor.alarms.control_fields import (
    AcknowledgementFields,
    PauseFields,
    ProfileResetFields,
    RateThresholdFields,
    ScoreThresholdFields,
    SourceEndFields,
)
from monitor.alarms.control_message import MEASURES
from monitor.alarms.episode_state import REQUIRED, StateRow
from monitor.alarms.rule import EpisodeState
from monitor.beats.beat import FLOAT32_BYTES
from monitor.beats.beat_fields import BeatFields
from monitor.beats.noise_header import MAX_NOISE_BYTES, NOISE_HEADER
from monitor.beats.parse import REASONS
from monitor.deadletters.letter import OWN_HEADERS, Refusal
from monitor.deadletters.replay_ledger import LedgerEntry
from monitor.profiles import MAX_PROFILE_BYTES
from monitor.records.record import GROUP_HEADER

if TYPE_CHECKING:
    from pydantic_core import core_schema

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
BYTES = "application/octet-stream"
NULL: Schema = {"type": "null"}
DIGITS = "^[0-9]{1,19}$"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


class PlainSchemas(GenerateJsonSchema):
    """Without titles that repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        """`"type": ["number", "null"]` where that says it: shorter, and checked in a third of the time."""
        inner = cast("Schema", self.generate_inner(schema["schema"]))
        if isinstance(inner.get("type"), str) and not {"const", "enum"} & inner.keys():
            return inner | {"type": [inner["type"], "null"]}
        return {"anyOf": [inner, NULL]}


def schemas() -> dict[str, Schema]:
    """Every schema by the name of its file, without its ending."""
    found = {
        "alert": _of(AlertFields, "An alert"),
        "score": _of(ScoreFields, "A score"),
        "beat": _of(BeatFields, "A beat as JSON"),
        "threshold": _of(ScoreThresholdFields | RateThresholdFields, "A threshold of a source, or of all"),
        "acknowledgement": _of(AcknowledgementFields, "Somebody has seen an alarm"),
        "pause": _of(PauseFields, "Alarms call nobody for a while"),
        "profile-reset": _of(ProfileResetFields, "A source learns its profile again"),
        "source-end": _of(SourceEndFields, "A source has ended"),
        "state": _of(StateRow, "The episode state of a source"),
        "ledger-entry": _of(LedgerEntry, "Which dead letters were put back"),
        "beat-bytes": _bytes("A beat as 140 little-endian float32", FLOAT32_BYTES, FLOAT32_BYTES),
        "profile": _bytes("The profile of a source: opaque", 1, MAX_PROFILE_BYTES),
        "dead-letter": _bytes("The record's own value, whatever it is; null where it had none", 0)
        | {"type": ["string", "null"]},
        "removed": {"title": "Nothing is kept for this key any more", **NULL},
        "beat-headers": _headers("Headers of a beat", {NOISE_HEADER: _noise(), TRACEPARENT: _trace()}),
        "alert-headers": _headers("Headers of an alert", _cloud_event(), optional=("ce_time", TRACEPARENT)),
        "dead-letter-headers": _headers(
            "Headers of a dead letter, after the record's own", _refusal(), optional=("omitted",)
        ),
        "row-headers": _headers("Headers of a row", {GROUP_HEADER: _text("whose it is", minLength=1)}, optional=()),
    }
    found["threshold"]["not"] = {"required": list(MEASURES)}  # types cannot say that both together are none
    found["state"]["$defs"]["EpisodeState"] = _episode()
    return {name: {"$schema": DIALECT, **schema} for name, schema in found.items()}


def _of(fields_of: Any, title: str) -> Schema:
    schema = TypeAdapter(fields_of).json_schema(schema_generator=PlainSchemas)
    return {"title": title} | {name: value for name, value in schema.items() if name != "title"}


def _episode() -> Schema:
    """One kind of episode, an object of numbers; pydantic takes a tuple with names for a list."""
    properties: dict[str, Schema] = {name: {"type": "integer"} for name in EpisodeState._fields[:REQUIRED]}
    for name in EpisodeState._fields[REQUIRED:]:
        properties[name] = {"type": "integer", "default": EpisodeState._field_defaults[name]}
    required = list(EpisodeState._fields[:REQUIRED])
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _bytes(title: str, least: int, most: int | None = None) -> Schema:
    """Bytes, checked as text of one character a byte (Latin-1): JSON Schema has no bytes."""
    size = {"minLength": least} | ({} if most is None else {"maxLength": most})
    return {"title": title, "type": "string", "contentMediaType": BYTES, **size}


def _headers(title: str, properties: dict[str, Schema], optional: tuple[str, ...] | None = None) -> Schema:
    """Headers as an object of texts. `optional`: None where all are."""
    required = [] if optional is None else [name for name in properties if name not in optional]
    return {"title": title, "type": "object", "properties": properties, **({"required": required} if required else {})}


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _noise() -> Schema:
    return _text("how noisy the lead was before the beat: a decimal number", maxLength=MAX_NOISE_BYTES)


def _trace() -> Schema:
    pattern = "^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"
    return _text("W3C Trace Context", pattern=pattern)


def _cloud_event() -> dict[str, Schema]:
    return {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _text("names the event: the same each time that it is written", minLength=1),
        "ce_source": _text("what the ids are unique in", format="uri-reference", minLength=1),
        "ce_type": {"enum": [f"{TYPE}.{event}" for event in ALERT_EVENTS]},
        "ce_time": _text("time of the beat that caused the event", format="date-time", pattern=TIME),
        "content-type": {"const": "application/json"},
        TRACEPARENT: _trace(),
    }


def _refusal() -> dict[str, Schema]:
    found: dict[str, Schema] = {
        "reason": {"enum": list(REASONS), "description": "a fixed word"},
        "detail": _text("a sentence"),
        "topic": _text("with partition and offset: where the record stands", minLength=1),
        "partition": _text("a number", pattern=DIGITS),
        "offset": _text("a number", pattern=DIGITS),
        "failed_at": _text("when the record was refused", format="date-time", pattern=TIME),
        "omitted": _text("what the letter lacks, because it was too large"),
    }
    if tuple(found) != (*OWN_HEADERS, "omitted") or len(found) != len(fields(Refusal)):
        raise ValueError("a header of `Refusal` has no schema, or one has a schema and is none")
    return found
