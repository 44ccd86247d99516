"""What keeps an alarm from leaving although the broker answers: rights that are missing, and clocks that differ."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from math import inf
from typing import TYPE_CHECKING

from monitor.broker.choice import kafka_client
from monitor.broker.client import ClientError, Failure
from monitor.broker.limits import WAIT_SECONDS
from monitor.broker.retry import COMMAND_SECONDS, retry_while_unavailable
from monitor.errors import RefusedError
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from monitor.broker.client import AdminClient, GroupFacts, KafkaClient
    from monitor.settings import Settings

log = logging.getLogger(__name__)

ASK_SECONDS, RETRY_SECONDS = 60.0, 5.0  # to the next question, after an answer and after none
CHECK_KEY = b"ecg-monitor check"
BAD_CLOCK = (
    "the broker refuses records with the time of this machine: the two clocks differ by more than it allows "
    "(message.timestamp.after.max.ms, an hour by default); set the wrong one"
)


def missing_rights(settings: Settings, admin: AdminClient, *, profiles: bool = False) -> list[str]:
    """The rights that this user lacks, each as `Write on ecg.alerts`; not those of which the broker does not tell.

    `profiles`: whether profiles are used. The right on the transactional id is not among them: no client can ask for
    it. Raises ClientError where the broker does not answer.
    """
    found = []
    for topic, needed in _needed(settings, profiles=profiles):
        try:
            facts = admin.describe(topic)
        except ClientError as error:
            found += _undescribed(error, needed, topic)
        else:
            found += _lacking(needed, None if facts is None else facts.rights, topic)
    try:
        group = admin.describe_group(settings.group_id)
    except ClientError as error:
        return found + _undescribed(error, ("Read",), f"group {settings.group_id}")
    return found + _lacking(("Read",), group.rights, f"group {settings.group_id}")


def _needed(settings: Settings, *, profiles: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each topic with the rights that the monitor needs on it."""
    yield settings.beats_topic, ("Read",)
    yield settings.control_topic, ("Read",)
    yield settings.state_topic_name, ("Read", "Write")
    yield settings.alerts_topic, ("Write",)
    yield settings.dead_letters_topic, ("Write",)
    if settings.scores:
        yield settings.scores_topic, ("Write",)
    if profiles:
        yield settings.profiles_topic_name, ("Read", "Write")


def _lacking(needed: Collection[str], rights: Collection[str] | None, of: str) -> list[str]:
    """The needed rights that are not among `rights`; none where the broker does not tell them (None)."""
    return [] if rights is None else [f"{right} on {of}" for right in needed if right.upper() not in rights]


def _undescribed(error: ClientError, needed: Collection[str], of: str) -> list[str]:
    """All needed rights, if describing was not authorised: each of them includes it. Raises any other error."""
    if error.failure is not Failure.UNAUTHORISED:
        raise error
    return [f"{right} on {of}" for right in needed]


class RightsWatch:
    """Asks once a minute whether a right is missing: the first alarm would be too late to learn that.

    It asks on a thread of its own: there are up to eight questions, and a slow broker may take seconds for each.
    """

    def __init__(self, settings: Settings, client: KafkaClient, *, profiles: bool = False) -> None:
        self._settings, self._client, self._profiles = settings, client, profiles
        self._thread = ThreadPoolExecutor(1, "rights")
        self._admin: AdminClient | None = None  # of that thread
        self._due = -inf
        self._answer: Future[list[str]] | None = None
        self.obstacle = ""  # a sentence; empty while nothing is known to be missing

    def look(self) -> None:
        """Take the last answer, and ask again where ASK_SECONDS have passed. It never waits for the broker."""
        now = time.monotonic()
        if self._answer is None:
            if now >= self._due:
                self._answer = self._thread.submit(self._ask)
        elif self._answer.done():
            self._due = now + (ASK_SECONDS if self._taken(self._answer) else RETRY_SECONDS)
            self._answer = None

    def _ask(self) -> list[str]:
        self._admin = self._admin or self._client.admin(self._settings, WAIT_SECONDS)
        return missing_rights(self._settings, self._admin, profiles=self._profiles)

    def _taken(self, answer: Future[list[str]]) -> bool:
        """Whether it is an answer. A broker that does not answer is noticed by others."""
        try:
            missing = answer.result()
        except ClientError as error:
            log.debug("asking for the rights: %s", error)
            self._close_admin()
            return False
        self.obstacle = lacks(missing) if missing else ""
        return True

    def close(self) -> None:
        """Close the connection, after the question that is being asked."""
        self._thread.shutdown()
        self._close_admin()

    def _close_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()
        self._admin = None


def lacks(rights: list[str]) -> str:
    """The sentence for missing rights."""
    return f"this user has no right {', '.join(rights)}: grant it on the broker"


def check_delivery(settings: Settings, *, profiles: bool = False) -> None:
    """Raise RefusedError where a right is missing, or where the broker would not take a transaction of this monitor.

    `profiles`: whether profiles are used.
    """
    with closing(kafka_client(settings).admin(settings, COMMAND_SECONDS)) as admin:
        # the coordinator of a group that is asked for the first time may still be moving
        missing = retry_while_unavailable(lambda: missing_rights(settings, admin, profiles=profiles), settings)
        if missing:
            raise RefusedError(lacks(missing))
        group = retry_while_unavailable(lambda: admin.describe_group(settings.group_id), settings)
    if settings.delivery == "exactly-once" and not _runs(settings, group):
        _try_transaction(settings)


def _runs(settings: Settings, group: GroupFacts) -> bool:
    """Whether a monitor of this name runs. It has all rights then, and a transaction of ours would end its own."""
    return settings.client_id in group.clients


def _try_transaction(settings: Settings) -> None:
    """Write a row of state under the monitor's own transactional id, and undo it."""
    name = settings.transactional_id
    producer = kafka_client(settings).producer(settings, COMMAND_SECONDS, transactional_id=name)
    try:
        producer.init_transactions(WAIT_SECONDS)
        producer.begin()
        row = Message(settings.state_topic_name, CHECK_KEY, None, partition=0)
        producer.send((row,)).wait(time.monotonic() + WAIT_SECONDS)
        producer.flush(WAIT_SECONDS)
        producer.abort(WAIT_SECONDS)
    except ClientError as error:
        if error.failure is Failure.UNAUTHORISED:
            raise RefusedError(lacks([f"Write on transactional id {name}"])) from error
        if error.failure is Failure.BAD_TIME:
            raise RefusedError(BAD_CLOCK) from error
        raise
    finally:
        producer.discard()
