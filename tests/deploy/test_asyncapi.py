"""The published description of messages: it is the code's, it is valid, and it promises what stays."""

from __future__ import annotations

import gzip
import json
import re
from copy import deepcopy
from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from deploy import asyncapi
from deploy.compatible import lost
from deploy.message_schemas import schemas
from monitor.alarms import control_message
from monitor.alarms.alert_fields import AlertFields, ScoreFields
from monitor.alarms.control_message import ThresholdCommand
from monitor.alarms.lifecycle import Acknowledgement
from monitor.beats.json_beat import strict_samples
from monitor.errors import RefusedError
from monitor.records.record import ControlRecord
from monitor.records.strict_json import UnclearError
from tests.messages import FOLDER, faults

OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.json.gz"
PAGE = asyncapi.DOCS / "messages.md"
SCHEMAS = schemas()
DOCUMENT = yaml.safe_load(asyncapi.PAGE.read_text(encoding="utf-8"))


def test_nothing_is_taken_away_from_who_reads_messages():
    assert asyncapi.taken_away() == []


def test_the_files_are_those_of_the_code():
    found = {path: path.read_text(encoding="utf-8") for path in (asyncapi.PAGE, *FOLDER.glob("*"))}
    assert found == asyncapi.files(), "python -m deploy.asyncapi"


def test_the_document_is_valid_by_the_official_schema():
    official = Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    assert [f"{one.json_path}: {one.message}" for one in official.iter_errors(DOCUMENT)] == []
    broken = deepcopy(DOCUMENT)
    broken["channels"]["alerts"]["bindings"]["kafka"]["partitions"] = "by source"
    assert not official.is_valid(broken)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def references(part):
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        yield from references(one)


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to():
    found = set(references(DOCUMENT))
    assert {name for name in found if not name.startswith("#")} == {f"./schemas/{name}.json" for name in SCHEMAS}
    for name in (name for name in found if name.startswith("#")):
        part = DOCUMENT
        for step in name.split("/")[1:]:
            part = part[step]
        assert part


CHANGES = {
    "a field goes": lambda schema: schema["properties"].pop("cause"),
    "a field is not always there": lambda schema: schema["required"].remove("cause"),
    "a field has another type": lambda schema: schema["properties"]["score"].update(type="string"),
    "a field of a field goes": lambda schema: schema["$defs"]["BeatCounts"]["properties"].pop("seen"),
    "a word goes": lambda schema: schema["properties"]["kind"]["enum"].remove("technical"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_taken_away_is_found(change):
    after = deepcopy(SCHEMAS["alert"])
    change(after)
    assert list(lost(SCHEMAS["alert"], after, is_read=False))


def test_what_is_added_takes_nothing_away():
    after = deepcopy(SCHEMAS["alert"])
    after["properties"] |= {
        "freshness": {"type": "string"},
        "kind": after["properties"]["kind"] | {"description": "?"},
    }
    after["properties"]["event"]["enum"].append("escalated")
    after["required"].append("fresh")
    assert list(lost(SCHEMAS["alert"], after, is_read=False)) == []
    assert list(lost(SCHEMAS["alert"], after, is_read=True)) == ["/required/fresh"]


@pytest.mark.parametrize(("name", "fields"), [("alert", AlertFields), ("score", ScoreFields)])
def test_every_field_that_is_written_is_in_the_example_and_in_the_schema(name, fields):
    """A validator lets unknown fields pass, as who reads messages must: so the names are compared."""
    (example,) = [one for one in examples() if one.keys() & {"samples", "abnormal"} and kind_of(one) == name]
    assert example.keys() == fields.__annotations__.keys() == SCHEMAS[name]["properties"].keys()


def examples():
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [orjson.loads(block) for block in blocks]


MARKS = {
    "event": "alert",
    "end": "source-end",
    "abnormal": "score",
    "tracks": "state",
    "topic_id": "ledger-entry",
    "by": "threshold",
}


def kind_of(example):
    return next((name for field, name in MARKS.items() if field in example), "dead-letter")


@pytest.mark.parametrize("example", examples(), ids=kind_of)
def test_every_example_of_the_page_is_valid(example):
    if kind_of(example) == "dead-letter":
        headers = dict(example["headers"])
        assert faults("dead-letter-headers", headers) == faults("dead-letter", example["value"]) == []
    else:
        assert faults(kind_of(example), example) == []


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "threshold": st.floats(-1, 2) | st.none() | st.text(max_size=2),
            "false_alarm_rate": st.floats(-0.5, 1.5) | st.booleans(),
            "by": st.text(max_size=5),
            "other": st.integers(-1, 1),
        },
    )
)
def test_a_threshold_is_valid_exactly_when_it_is_taken(fields):
    try:
        control_message.read(ControlRecord(b"threshold/bed-7", orjson.dumps(fields), 0))
    except RefusedError:
        assert faults("threshold", fields)
    else:
        assert not faults("threshold", fields)


def test_what_the_commands_write_is_valid():
    assert not faults("threshold", orjson.loads(control_message.encode(ThresholdCommand("threshold", 0.5, "A", "why"))))
    assert not faults("profile-reset", orjson.loads(control_message.encode_reset("", "moved")))
    ended = control_message.encode_end("ecg.beats", {3: 1200}, Acknowledgement("A", 1, "moved", 0))
    assert not faults("source-end", orjson.loads(ended))


def lists_of(some, least=140, most=140):
    return st.lists(some, min_size=least, max_size=most)


@given(lists_of(st.floats(-1e9, 1e9), 139, 141) | lists_of(st.none() | st.integers(0, 9)) | lists_of(st.booleans()))
def test_a_beat_is_valid_exactly_when_it_is_taken(samples):
    try:
        strict_samples(orjson.dumps({"samples": samples}))
    except UnclearError:
        assert faults("beat", {"samples": samples})
    else:
        assert not faults("beat", {"samples": samples})
