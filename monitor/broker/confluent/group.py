"""A member of the consumer group on confluent-kafka."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition

from monitor.broker.blocks import RecordBlock, block_place
from monitor.broker.client import ClientError, CommittedOffset, Failure, Membership
from monitor.broker.confluent.client_errors import close_quietly, error_of, translated_errors
from monitor.broker.confluent.columns import blocks_of, drop_values
from monitor.broker.confluent.config import group_options
from monitor.broker.confluent.connecting import build, close_admin, connect
from monitor.broker.confluent.metadata import partitions_of
from monitor.broker.confluent.offsets import PartitionBounds
from monitor.broker.confluent.record_stream import RecordStream
from monitor.broker.confluent.step_parts import fitting, parts
from monitor.broker.limits import StepLimit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from confluent_kafka import KafkaError, Message

    from monitor.settings import Settings

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
COMMIT_SECONDS = 5.0
CLOSE_SECONDS = 7.0  # the library waits 5 for the group's answer
# `consume` goes on waiting for records after it has called back. So one wait is short, and then what came is looked at.
TURN_SECONDS, COMMIT_TURN_SECONDS = 0.1, 0.005
PAUSE_SECONDS = 0.001
_NOBODY = Membership("", None)


class ConfluentGroup:
    """Implements `client.GroupClient`. The library fetches a partition only after `start` has assigned it to it."""

    def __init__(self, settings: Settings, wait_seconds: float) -> None:
        self._topic = settings.beats_topic
        self._admin, errors = connect(settings, wait_seconds)
        bounds = PartitionBounds(self._admin, self._topic)
        self.beginnings, self.ends, self.log_ends = bounds.beginnings, bounds.ends, bounds.log_ends
        self._rebalances, self._commits = Rebalances(), CommitAnswers()
        with ExitStack() as undo:
            undo.callback(close_admin, self._admin)
            options = group_options(settings).extended({"on_commit": self._commits.hear})
            self._consumer: Consumer = build(Consumer, settings, options, errors)
            undo.callback(close_quietly, "the consumer", self._consumer.close)
            with translated_errors("joining the group"):
                self._rebalances.subscribe(self._consumer, self._topic)
            undo.pop_all()
        self._stream = RecordStream(self._consumer, self._topic, "reading beats", self.ends)
        self._stash: list[Message] = []  # came while a commit waited for its answer, or beyond what fits into a step
        self._is_full = False
        self._member = _NOBODY

    def poll(self, limit: StepLimit) -> list[RecordBlock]:
        self._stream.raise_failure()
        blocks = list(self._blocks(limit))
        self._check_member()
        self._rebalances.has_rebalanced = False
        if not blocks:
            self._stream.raise_failure()
        positions = self._stream.positions
        self._stream.end(self._rebalances.revoked())
        blocks = [block for block in blocks if block.partition in positions]
        if not self._stash:  # else it may have records from before what was set aside
            blocks += [RecordBlock.of_set_aside(*pair, int(1000 * time.time())) for pair in self._stream.set_aside()]
        blocks.sort(key=block_place)
        for block in blocks:
            self._stream.move(block.partition, int(block.offset[-1]) + 1)
        return blocks

    def _blocks(self, limit: StepLimit) -> Iterator[RecordBlock]:
        """The records of one poll: those that are there, or else the first that come within POLL_SECONDS.

        It does not wait if the last poll left messages. It returns early after a rebalance, so that the caller can
        restore partitions.
        """
        came, self._stash = self._stash[: limit.records], self._stash[limit.records :]
        deadline = time.monotonic() + (0.0 if self._is_full else POLL_SECONDS)
        any_came = False
        for block in self._fitting_blocks(limit, came):
            any_came = True
            yield block
        while not (any_came or self._is_interrupted()) and (left := deadline - time.monotonic()) > 0:
            self._stream.raise_failure()  # before records that come after a damaged one
            if first := self._stream.take(1, min(TURN_SECONDS, left)):
                any_came = True
                yield from self._fitting_blocks(limit, first)
        self._is_full = any_came and (bool(self._stash) or not self._stream.is_drained)

    def _fitting_blocks(self, limit: StepLimit, came: list[Message]) -> Iterator[RecordBlock]:
        """The records of a step. Values of messages are dropped only where they are in it: the others come again."""
        room = limit.bytes
        for part, size in parts(self._stream, limit, came, _read):
            messages, blocks = part if size <= room else self._first_of(part[0], room)
            room -= size
            drop_values(messages)
            yield from blocks

    def _first_of(self, messages: list[Message], room: int) -> tuple[list[Message], list[RecordBlock]]:
        """Those that fit. The rest is kept for the next poll: a part may be many steps of junk."""
        count = fitting(messages, room)
        self._stash = messages[count:] + self._stash
        return _read(messages[:count])[0]

    def _is_interrupted(self) -> bool:
        """Whether something else than a record has come, so that the poll ends."""
        return self._rebalances.has_rebalanced or self._stream.has_set_aside

    def _check_member(self) -> None:
        """Take over the membership, unless the group has removed this member since it last joined."""
        member_id = self._consumer.memberid() or ""
        joined = self._rebalances.joined
        before, self._member = self._member, joined if joined.member_id == member_id else _NOBODY
        if before.member_id not in {"", self._member.member_id}:
            self._rebalances.void()

    def has_more(self) -> bool:
        return self._is_full

    def assignment(self) -> frozenset[int]:
        return frozenset(self._rebalances.assigned)

    def changed(self) -> set[int]:
        return self._rebalances.changed()

    def membership(self) -> Membership:
        return self._member

    def is_stable(self) -> bool:
        return self._rebalances.is_settled and bool(self._member.member_id)

    def start(self, offsets: Mapping[int, int]) -> None:
        with translated_errors("setting the offset"):
            self._unassign(offsets.keys())
            self._consumer.incremental_assign([TopicPartition(self._topic, *pair) for pair in offsets.items()])
        self._stream.begin(offsets)

    def stop(self, partition: int) -> None:
        with translated_errors("stopping a partition"):
            self._unassign({partition})

    def _unassign(self, partitions: Collection[int]) -> None:
        """Stop fetching these partitions, and drop their records that are not returned yet."""
        self._stash = [message for message in self._stash if message.partition() not in partitions]
        self._stream.end(partitions)
        if assigned := [tp for tp in self._consumer.assignment() if tp.partition in partitions]:
            self._consumer.incremental_unassign(assigned)

    def committed(self, partitions: Collection[int], seconds: float) -> dict[int, CommittedOffset | None]:
        what = "asking for committed offsets"
        try:
            with translated_errors(what):
                found = self._consumer.committed([TopicPartition(self._topic, one) for one in partitions], seconds)
        except UnicodeDecodeError as error:
            # of metadata without a zero byte at its end the library reads more than there is; another time it may not
            raise ClientError(f"{what}: their metadata, of another program, cannot be read", Failure.PASSING) from error
        for tp in found:
            if tp.error is not None:
                raise error_of(what, tp.error)
        return {tp.partition: CommittedOffset(tp.offset, tp.metadata or "") if tp.offset >= 0 else None for tp in found}

    def partitions(self) -> int:
        return len(partitions_of(self._admin, self._topic))

    def positions(self) -> dict[int, int]:
        return dict(self._stream.positions)

    def commit(self, offsets: Mapping[int, CommittedOffset]) -> None:
        """Commit, and keep what is read meanwhile for the next poll.

        The library's own wait has no limit: with a broker that hangs it took more than two minutes. The answer to a
        commit in the background comes through `consume`, before the records that are there.
        """
        if not offsets:
            return
        if self._consumer.memberid() != self._member.member_id or not self._member.member_id:
            # while the group is empty, the broker accepts offsets without a member
            raise ClientError("committing offsets: this member is out of the group", Failure.OUT_OF_GROUP)
        given = [TopicPartition(self._topic, one, *offset) for one, offset in offsets.items()]
        with translated_errors("committing offsets"):
            self._consumer.commit(offsets=given, asynchronous=True)
        self._commits.unanswered += 1
        deadline = time.monotonic() + COMMIT_SECONDS
        while self._commits.unanswered:
            if time.monotonic() > deadline:
                raise ClientError(f"committing offsets: no answer came within {COMMIT_SECONDS:g} s", Failure.LATE)
            if came := self._stream.take(1, COMMIT_TURN_SECONDS):
                self._stash += came
                time.sleep(PAUSE_SECONDS)  # else a hundred thousand records come before the answer
        if self._commits.error is not None:
            raise error_of("committing offsets", self._commits.error)

    def close(self) -> None:
        """Close the consumer, but wait at most CLOSE_SECONDS: the library waits without limit for a commit's answer."""
        self._rebalances.is_closing = True
        closing = Thread(target=close_quietly, args=("the consumer", self._consumer.close), name="close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():
            log.warning("the broker does not answer: the consumer is left to itself, and the group will miss it")
        close_admin(self._admin)


def _read(messages: list[Message]) -> tuple[tuple[list[Message], list[RecordBlock]], int]:
    """Messages with their columns, and what they count towards the bytes of a step."""
    blocks, size = blocks_of(messages)
    return (messages, blocks), size


class CommitAnswers:
    """The answers to commits, which come in the order of the commits."""

    def __init__(self) -> None:
        self.unanswered = 0
        self.error: KafkaError | None = None  # of the last answer

    def hear(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take one answer: the client's `on_commit`."""
        self.unanswered -= 1
        found = (error, *(tp.error for tp in partitions))
        self.error = next((one for one in found if one is not None), None)


class Rebalances:
    """What the group has assigned to this member. The library calls back from within `consume` and `close`."""

    def __init__(self) -> None:
        self.assigned: set[int] = set()
        self.is_settled = False  # whether an assignment came after the last revocation
        self.has_rebalanced = False  # whether either came since the last poll
        self.is_closing = False
        self.joined = _NOBODY  # in the generation that was joined last
        self._changed: set[int] = set()
        self._revoked: set[int] = set()

    def subscribe(self, consumer: Consumer, topic: str) -> None:
        consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Take partitions over without fetching them. Each new generation comes here, if only with an empty list.

        The token names the generation, so that the broker refuses it after the next rebalance. It must be taken here.
        Once a heartbeat has found that the group has removed this member, the library names the member '', and the
        broker accepts offsets under that name from anybody: this member could overwrite those of its successor.
        """
        if self.is_closing:  # a consumer that is closed cannot be asked
            return
        consumer.incremental_assign([])
        before, token = consumer.memberid(), consumer.consumer_group_metadata()
        is_member = before and before == consumer.memberid()
        self.joined = Membership(before, token) if is_member else _NOBODY
        self.is_settled = self.has_rebalanced = True
        self.assigned |= {tp.partition for tp in partitions}
        self._changed |= {tp.partition for tp in partitions}

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        revoked = {tp.partition for tp in partitions}
        self.is_settled, self.has_rebalanced = False, True
        self.assigned -= revoked
        self._changed |= revoked
        self._revoked |= revoked
        if not self.is_closing:  # `close` stops fetching them itself
            consumer.incremental_unassign([tp for tp in consumer.assignment() if tp.partition in revoked])

    def void(self) -> None:
        """Let all partitions be restored again."""
        self._changed |= self.assigned

    def changed(self) -> set[int]:
        """Partitions that were assigned or revoked since the last call: what is known of them is out of date."""
        changed, self._changed = self._changed, set()
        return changed

    def revoked(self) -> set[int]:
        """Partitions that were revoked since the last call. Records of them may have come in the same poll."""
        revoked, self._revoked = self._revoked, set()
        return revoked
