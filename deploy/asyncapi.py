"""Writes `docs/asyncapi.yaml` and `docs/schemas/`: `python -m deploy.asyncapi`, from the repository's root.

The document says which topics there are, with keys, headers and values; the schemas, what is in them. All is made from
the code: settings, planned topics, and the types that write and read messages. A test checks that files and code agree.
A schema that takes something away from the file of before is not written, see `deploy.compatible`.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from deploy.compatible import lost
from deploy.message_schemas import BYTES, Schema, schemas
from monitor.alarms import control_message
from monitor.alarms.alert import VERSION
from monitor.alarms.alert_fields import ALERT_EVENTS
from monitor.alarms.rule import KINDS
from monitor.beats.beat import MAX_KEY_BYTES
from monitor.broker import TopicPlan
from monitor.broker.topics import planned_topics
from monitor.broker.writing.replayer import ledger_topic
from monitor.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FOLDER = DOCS / "asyncapi.yaml", DOCS / "schemas"
READ = {
    "beat",
    "beat-bytes",
    "beat-headers",
    "threshold",
    "profile-reset",
    "acknowledgement",
    "pause",
    "source-end",
}  # of messages that others write
FORMAT = "application/schema+json;version=draft-2020-12"
JSON = "application/json"
BINDING = {"bindingVersion": "0.5.0"}
SETTINGS = Settings.model_construct()  # the defaults, whatever the environment says
PLAN = TopicPlan(partitions=4, replication_factor=-1, retention_hours=168)  # the defaults of `topics create`

SOURCE: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_KEY_BYTES,
    "description": "The source: one lead of one patient or bed. UTF-8; the length is in bytes.",
}
BY_KEY = "The key decides about the partition, so that everything about a source is in order."
AS_BEATS = "A row is in the partition of the source's beats, and the topic has as many partitions as theirs."
CHANNELS: dict[str, tuple[str, str, tuple[str, ...]]] = {  # topic, what it is, messages
    "beats": (SETTINGS.beats_topic, f"Beats. {BY_KEY}", ("beatBytes", "beatJson")),
    "alerts": (
        SETTINGS.alerts_topic,
        f"Events of episodes. {BY_KEY}",
        tuple(f"alert{event.capitalize()}" for event in ALERT_EVENTS),
    ),
    "scores": (SETTINGS.scores_topic, f"One score per beat, with MONITOR_SCORES=true. {BY_KEY}", ("score",)),
    "deadLetters": (SETTINGS.dead_letters_topic, "Records that are not beats.", ("deadLetter",)),
    "control": (
        SETTINGS.control_topic,
        "Commands. The last one of a key counts.",
        (
            "threshold",
            "thresholdRemoved",
            "profileReset",
            "profileResetRemoved",
            "acknowledgement",
            "acknowledgementRemoved",
            "pause",
            "pauseRemoved",
            "sourceEnd",
            "sourceEndRemoved",
        ),
    ),
    "state": (SETTINGS.state_topic_name, f"Episode state. {AS_BEATS}", ("state", "stateRemoved")),
    "profiles": (SETTINGS.profiles_topic_name, f"Profiles of sources. {AS_BEATS}", ("profile", "profileRemoved")),
    "replayLedger": (
        ledger_topic(SETTINGS),
        "Which dead letters were put back.",
        ("ledgerEntry", "ledgerEntryRemoved"),
    ),
}
RECEIVED = ("beats", "control")


def document() -> Schema:
    """The AsyncAPI document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ECG monitor",
            "version": VERSION,
            "description": "What the monitor reads from and writes to Kafka. Topic names are settings. Fields are only "
            "ever added. Read with isolation.level=read_committed. docs/messages.md has it in words.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"kafka": {"host": SETTINGS.bootstrap_servers, "protocol": "kafka"}},
        "channels": {name: _channel(*channel) for name, channel in CHANNELS.items()},
        "operations": {name: _operation(name) for name in CHANNELS},
        "components": {"messages": messages()},
    }


def _channel(topic: str, description: str, names: tuple[str, ...]) -> Schema:
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": _topic(topic)},
    }


def _topic(name: str) -> Schema:
    planned = {topic: (partitions, config) for topic, partitions, config in planned_topics(SETTINGS, PLAN)}
    partitions, config = planned.get(name, (1, {"cleanup.policy": "compact"}))  # the first replay makes the ledger
    configuration: Schema = {key: int(value) if value.isdecimal() else value for key, value in config.items()}
    if "cleanup.policy" in configuration:
        configuration["cleanup.policy"] = [configuration["cleanup.policy"]]
    return {"topic": name, "partitions": partitions, "topicConfiguration": configuration, **BINDING}


def _operation(channel: str) -> Schema:
    """From the monitor's point of view, as AsyncAPI wants it."""
    found: Schema = {
        "action": "receive" if channel in RECEIVED else "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in CHANNELS[channel][2]],
    }
    if channel == "beats":
        found["bindings"] = {"kafka": {"groupId": {"const": SETTINGS.group_id}, **BINDING}}
    return found


def messages() -> dict[str, Schema]:
    """Every message by its name."""
    threshold, profile, pause, ended = map(_command_key, ("threshold/", "profile/", "pause/", "source/"))
    seen: Schema = {
        "type": "string",
        "pattern": f"^acknowledge/({'|'.join(KINDS)})/.",
        "maxLength": control_message.MAX_KEY_BYTES,
    }
    letters: Schema = {"type": "string", "pattern": r"^\d+/\d+-\d+/\d+$"}
    found = {
        "beatBytes": _message("beat-bytes", SOURCE, "beat-headers", content=BYTES),
        "beatJson": _message("beat", SOURCE, "beat-headers"),
        **{f"alert{event.capitalize()}": _alert(event) for event in ALERT_EVENTS},
        "score": _message("score", SOURCE),
        "deadLetter": _message("dead-letter", {"type": ["string", "null"]}, "dead-letter-headers", content=BYTES),
        "threshold": _message("threshold", threshold),
        "thresholdRemoved": _message("removed", threshold),
        "profileReset": _message("profile-reset", profile),
        "profileResetRemoved": _message("removed", profile),
        "acknowledgement": _message("acknowledgement", seen),
        "acknowledgementRemoved": _message("removed", seen),
        "pause": _message("pause", pause),
        "pauseRemoved": _message("removed", pause),
        "sourceEnd": _message("source-end", ended),
        "sourceEndRemoved": _message("removed", ended),
        "state": _message("state", SOURCE, "row-headers"),
        "stateRemoved": _message("removed", SOURCE, "row-headers"),
        "profile": _message("profile", SOURCE, "row-headers", content=BYTES),
        "profileRemoved": _message("removed", SOURCE, "row-headers"),
        "ledgerEntry": _message("ledger-entry", letters),
        "ledgerEntryRemoved": _message("removed", letters),
    }
    return {name: {"name": name, **one} for name, one in found.items()}


def _message(schema: str, key: Schema, headers: str = "", *, content: str = JSON) -> Schema:
    found: Schema = {"contentType": content, "payload": _schema({"$ref": f"./schemas/{schema}.json"})}
    if headers:
        found["headers"] = _schema({"$ref": f"./schemas/{headers}.json"})
    return {**found, "bindings": {"kafka": {"key": dict(key), **BINDING}}}


def _alert(event: str) -> Schema:
    this = {"allOf": [{"$ref": "./schemas/alert.json"}], "properties": {"event": {"const": event}}}
    return {"summary": f"An episode: {event}", **_message("alert", SOURCE, "alert-headers"), "payload": _schema(this)}


def _schema(schema: Schema) -> Schema:
    return {"schemaFormat": FORMAT, "schema": schema}


def _command_key(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}.", "maxLength": len(prefix) + MAX_KEY_BYTES}


def files() -> dict[Path, str]:
    """The text of each file."""
    found = {FOLDER / f"{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas().items()}
    text = yaml.dump(document(), Dumper=WithoutAliases, sort_keys=False, width=120, allow_unicode=True)
    return {PAGE: f"# `python -m deploy.asyncapi` writes this file.\n{text}", **found}


class WithoutAliases(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - its signature
        return True


def taken_away() -> list[str]:
    """What the code's schemas lack of those in the folder."""
    found, new = [], schemas()
    for path in sorted(FOLDER.glob("*.json")):
        old = json.loads(path.read_text(encoding="utf-8"))
        gone = lost(old, new.get(path.stem), is_read=path.stem in READ)
        found += [f"{path.stem}{place}" for place in sorted(gone)]
    return found


if __name__ == "__main__":
    if gone := taken_away():
        sys.exit("these were promised to readers of messages, and are not there any more:\n" + "\n".join(gone))
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
