"""Faults that are caused from outside a monitor, and the alerts that they must fire."""

from __future__ import annotations

import itertools
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from monitor.alarms.episode_state import encode
from monitor.alarms.lifecycle import HIGH, AlarmLife
from monitor.alarms.rule import QUIET, EpisodeState, SourceState
from monitor.broker import Publisher
from monitor.records.record import GROUP_HEADER, Message
from tests.deploy.prometheus import Fired
from tests.deploy.rulefiles import WATCHDOG
from tests.deploy.traffic import FLAT, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.settings import Settings
    from tests.deploy.traffic import BeatPool, Records

OLD_SECONDS, UNSEEN_SECONDS = 1200, 3600
LATE_SECONDS = 30
EARLY_SECONDS = 2
BACKLOG = 3000
TRANSACTION_MS, SEND_SECONDS = 900_000, 30
RUBBISH = b"this is none"
HEALTHY, NOISY, SLOW, BROKEN, CUT_OFF, RESTLESS, SILENT = JOBS = [
    f"{name}/ecg-monitor" for name in ("healthy", "noisy", "slow", "broken", "cut-off", "restless", "silent")
]
FORWARDER = "noisy/ecg-forwarder"
CRITICAL, WARNING = "critical", "warning"
FIRST = {
    Fired("EcgMonitorNoneReady", CUT_OFF, CRITICAL),
    Fired("EcgMonitorBrokerUnreachable", CUT_OFF, CRITICAL),
    Fired("EcgMonitorBehind", SLOW, CRITICAL),
    Fired("EcgMonitorForwarderBehind", FORWARDER, CRITICAL),
    Fired("EcgMonitorForwarderRefused", FORWARDER, CRITICAL),
    Fired("EcgMonitorPartitionStuck", BROKEN, CRITICAL),
    Fired("EcgMonitorNoBeats", SILENT, CRITICAL),
    Fired("EcgMonitorRecordsHeldBack", SILENT, WARNING),
    Fired("EcgMonitorRecordsLost", NOISY, CRITICAL),
    Fired("EcgMonitorDeadLetterBurst", NOISY, CRITICAL),
    Fired("EcgMonitorAlertFlood", NOISY, CRITICAL),
    Fired("EcgMonitorNotReady", CUT_OFF, WARNING),
    Fired("EcgMonitorRestarting", RESTLESS, WARNING),
    Fired("EcgMonitorLagGrowing", SLOW, WARNING),
    Fired("EcgMonitorDeliveryFailing", RESTLESS, WARNING),
    Fired("EcgMonitorBrokerFailing", CUT_OFF, WARNING),
    Fired("EcgMonitorDeviceFallback", BROKEN, WARNING),
    Fired("EcgMonitorDeadLetterBurst", NOISY, WARNING),
    Fired("EcgMonitorAlertsLate", NOISY, WARNING),
    Fired("EcgMonitorClockSkew", NOISY, WARNING),
    Fired("EcgMonitorUnscorableBeats", NOISY, WARNING),
    Fired("EcgMonitorAbnormalShareDrift", NOISY, WARNING),
    Fired("EcgMonitorInstancesDiffer", SILENT, WARNING),
    Fired("EcgMonitorStateIgnored", NOISY, WARNING),
    Fired("EcgMonitorControlIgnored", NOISY, WARNING),
    Fired("EcgMonitorRecordsShed", NOISY, WARNING),
    Fired("EcgMonitorAlarmNotAcknowledged", NOISY, WARNING),
    Fired("EcgMonitorAlarmBurden", NOISY, WARNING),
    Fired(WATCHDOG, "", "none"),
}
# the plants of these end what those need
SECOND = {
    Fired("EcgMonitorLoopStuck", BROKEN, CRITICAL),
    Fired("EcgMonitorPartitionUnread", SILENT, CRITICAL),
    Fired("EcgMonitorDown", SILENT, WARNING),
}


def spoil(settings: Settings) -> None:
    """Invalid control and state records, an alarm that nobody sees, and a committed offset that retention deleted."""
    topic, partition = settings.beats_topic, TopicPartition(settings.beats_topic, 0)
    with closing(Publisher(settings)) as publisher:
        publisher.send(Message(settings.control_topic, b"nonsense", RUBBISH))
        publisher.send(Message(settings.state_topic_name, b"bed-1", RUBBISH, partition=0))
        publisher.send(_latched(settings))
        for _ in range(10):
            publisher.send(Message(topic, b"bed-1", FLAT, partition=0))
        publisher.flush()
    servers = settings.bootstrap_servers
    with closing(KafkaConsumer(bootstrap_servers=servers, group_id=settings.group_id)) as consumer:
        consumer.assign([partition])
        consumer.commit({partition: OffsetAndMetadata(0, "", -1)})
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.delete_records({partition: 5})


def _latched(settings: Settings) -> Message:
    """A row with an alarm of high priority that nobody has acknowledged for an hour."""
    opened_ms = 1000 * (int(time.time()) - UNSEEN_SECONDS)
    ended = EpisodeState(opened_offset=0, opened_at=opened_ms, flagged_beats=5, seen_beats=9, cause=1, priority=HIGH)
    life = AlarmLife(0, "latched", HIGH, 0, ended=ended)
    value = encode(SourceState((QUIET, QUIET), opened_ms, -1), {"physiological": life})
    headers = ((GROUP_HEADER, settings.group_id.encode()),)
    return Message(settings.state_topic_name, b"unseen", value, headers, partition=0)


def narrow(settings: Settings) -> None:
    """An alerts topic that accepts no alert: each transaction with an alert fails."""
    resource = ConfigResource(ConfigResourceType.TOPIC, settings.alerts_topic, {"max.message.bytes": "200"})
    with closing(KafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)) as admin:
        admin.alter_configs([resource])


@contextmanager
def held_back(settings: Settings) -> Iterator[None]:
    """A publisher that does not end its transaction."""
    servers, name = settings.bootstrap_servers, f"{settings.group_id}.publisher"
    options = {"transactional_id": name, "transaction_timeout_ms": TRANSACTION_MS}
    with closing(KafkaProducer(bootstrap_servers=servers, **options)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(settings.beats_topic, FLAT, key=b"bed-1", partition=0).get(timeout=SEND_SECONDS)
        yield


def pile_up(settings: Settings, stock: BeatPool) -> None:
    """More old beats than a monitor with a batch size of one can score."""
    with closing(Publisher(settings)) as publisher:
        beats = stock.beats(settings.beats_topic, 20, age_seconds=OLD_SECONDS)
        for message, stamp in itertools.islice(beats, BACKLOG):
            publisher.send(message, stamp)
        publisher.flush()


def noise(stock: BeatPool, topic: str) -> list[tuple[Records, float]]:
    """Beats of changing sources, among them late, early, old and flat ones, and records that are not beats.

    Each with its rate a second.
    """
    return [
        (stock.strangers(topic, "now", 5), 60),
        (stock.strangers(topic, "late", 5, LATE_SECONDS), 20),
        (stock.strangers(topic, "early", 5, -EARLY_SECONDS), 20),
        (stock.beats(topic, 20, age_seconds=OLD_SECONDS), 5),
        (same(topic, b"flat", FLAT), 40),
        (same(topic, b"junk", RUBBISH), 80),
    ]
