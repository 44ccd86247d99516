"""The topics: which are needed, how they are created, and which are missing."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.alarms.episode_state import MAX_ROW_BYTES
from monitor.broker.choice import kafka_client
from monitor.broker.client import ClientError, Failure
from monitor.broker.retry import COMMAND_SECONDS, START_SECONDS
from monitor.errors import RefusedError
from monitor.profiles import MAX_PROFILE_BYTES
from monitor.terminal import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.broker.client import AdminClient
    from monitor.settings import Settings

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
SEGMENT_BYTES = 16 * 1024 * 1024
DEAD_LETTER_BYTES = 2 * 1024 * 1024  # a refused record may fill Kafka's 1 MiB, and its headers come on top


@dataclass(frozen=True, slots=True)
class RowTopic:
    """A compacted topic that keeps a row for each source, in the partition of the source's beats."""

    name: str
    setting: str  # that names it
    content: str  # in words
    max_bytes: int  # of the value of a row


def state_rows(settings: Settings) -> RowTopic:
    return RowTopic(settings.state_topic_name, "MONITOR_STATE_TOPIC", "episode state", MAX_ROW_BYTES)


def profile_rows(settings: Settings) -> RowTopic:
    return RowTopic(settings.profiles_topic_name, "MONITOR_PROFILES_TOPIC", "profiles", MAX_PROFILE_BYTES)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The options of `topics create`."""

    partitions: int
    replication_factor: int  # -1: the broker's default
    retention_hours: float


def create_topics(settings: Settings, plan: TopicPlan) -> Iterator[str]:
    """Create missing topics, and add partitions to existing topics of rows that have fewer than the beats topic.

    Yields one line for each topic, and one more for each that is extended. Raises RefusedError when a topic of rows
    has more partitions than the beats topic: Kafka cannot remove any.
    """
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        there = admin.topics()
        for name, partitions, config in planned_topics(settings, plan):
            is_new = name not in there and admin.create(name, partitions, plan.replication_factor, config)
            yield f"{name}: {_created(partitions) if is_new else 'there already, left as it is'}"
        for rows in (state_rows(settings), profile_rows(settings)):
            if rows.name in there:
                yield from extend_rows(admin, settings, rows)


def _created(partitions: int) -> str:
    return f"created, {count_of(partitions, 'partition')}"


def planned_topics(settings: Settings, plan: TopicPlan) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Name, number of partitions and configuration of each topic."""
    kept = {"retention.ms": str(int(plan.retention_hours * HOUR_MS))}
    compacted = {"cleanup.policy": "compact"}
    # Kafka never compacts the segment that is being written, by default 1 GiB or 7 days: too much to read at a start.
    small = {"segment.bytes": str(SEGMENT_BYTES), "segment.ms": str(HOUR_MS), "min.cleanable.dirty.ratio": "0.1"}
    yield settings.beats_topic, plan.partitions, kept
    yield settings.alerts_topic, plan.partitions, kept
    yield settings.scores_topic, plan.partitions, kept
    yield settings.dead_letters_topic, plan.partitions, kept | {"max.message.bytes": str(DEAD_LETTER_BYTES)}
    yield settings.control_topic, 1, compacted
    yield settings.state_topic_name, plan.partitions, compacted | small
    yield settings.profiles_topic_name, plan.partitions, compacted | small


def extend_rows(admin: AdminClient, settings: Settings, topic: RowTopic) -> list[str]:
    """Give a topic of rows as many partitions as the beats topic: a row is in the partition of its source's beats."""
    beats, rows = (_partitions(admin, name) for name in (settings.beats_topic, topic.name))
    if rows > beats:
        raise RefusedError(
            f"{topic.name} has {rows} partitions and {settings.beats_topic} only {beats}: "
            f"give the beats as many, or name another {topic.setting}"
        )
    if rows >= beats:
        return []
    admin.extend(topic.name, beats)
    return [f"{topic.name}: extended from {rows} to {beats} partitions"]


def _partitions(admin: AdminClient, name: str) -> int:
    facts = admin.describe(name)
    return 0 if facts is None else facts.partitions


def missing_topics(settings: Settings, wait_seconds: float = START_SECONDS, *, profiles: bool = False) -> list[str]:
    """Names of the topics that the daemon needs and the broker does not have. `profiles`: whether they are used."""
    needed = [settings.beats_topic, settings.alerts_topic, settings.dead_letters_topic]
    needed += [settings.control_topic, settings.state_topic_name]
    if settings.scores:
        needed.append(settings.scores_topic)
    if profiles:
        needed.append(settings.profiles_topic_name)
    with closing(kafka_client(settings).admin(settings, wait_seconds)) as admin:
        there = admin.topics()
        return [name for name in needed if name not in there and _is_missing(admin, name)]


def _is_missing(admin: AdminClient, topic: str) -> bool:
    """Whether a topic that is not listed is not there: those that this user may not describe are not listed either."""
    try:
        return admin.describe(topic) is None
    except ClientError as error:
        if error.failure is not Failure.UNAUTHORISED:
            raise
        return False


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """What a topic does with the timestamps of its records. None: no limit, or it is not known."""

    kept_ms: int | None  # records that are older are deleted
    ahead_ms: int | None  # records that are further ahead of the broker's clock are refused


def time_limits(settings: Settings, topic: str) -> TimeLimits:
    """The limits of a topic."""
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        kept, ahead = (admin.config(topic, name) or "" for name in ("retention.ms", "message.timestamp.after.max.ms"))
    return TimeLimits(int(kept) if kept.isdecimal() else None, int(ahead) if ahead.isdecimal() else None)


def has_beat_times(settings: Settings) -> bool:
    """Whether the records of the beats topic have the times that their publishers gave them, those of the beats.

    With `message.timestamp.type=LogAppendTime` they have the broker's times of arrival, which say nothing about RR.
    Where that cannot be found out, as by a user who may not ask, the times are taken for the publishers', which is
    Kafka's default, and the log says so.
    """
    topic = settings.beats_topic
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        kind = admin.config(topic, "message.timestamp.type")
    if kind is None:
        log.warning(
            "%s: message.timestamp.type could not be read: the record times are taken for those of the beats", topic
        )
    elif kind == "LogAppendTime":
        log.warning("%s: its record times are the broker's (LogAppendTime): how early a beat comes is not known", topic)
    return kind != "LogAppendTime"


def retention_ms(settings: Settings, topic: str) -> int | None:
    """How long the topic keeps records, by their timestamps; None without a limit, or where that is not known."""
    return time_limits(settings, topic).kept_ms
