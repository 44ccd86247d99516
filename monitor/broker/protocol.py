"""The interface of a broker for the loop: read records, deliver checkpoints, say what is assigned.

`KafkaBroker` and `MemoryBroker` implement it; `tests/contract/test_broker.py` checks both against this description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.records.record import BrokerFacts, Checkpoint, Records


class Broker(Protocol):
    """One member of a consumer group together with its producer. All calls come from one thread.

    The order of calls: `poll` reads records. The caller turns them into a checkpoint (messages, state, offsets) and
    passes it to `deliver`. Between two checkpoints it may poll again. A caller that wants to work during a delivery
    calls `begin` with the checkpoint, polls and computes, and later calls `deliver` with the same checkpoint. At most
    one checkpoint is begun at a time, and no other is delivered before it. `close` is the last call.

    `poll`, `begin` and `deliver` may raise BrokerError, when the broker cannot be reached or refuses: the same call may
    succeed later. `has_more`, `settled`, `lag`, `held_back`, `obstacle`, `joined` and `facts` never raise and ask no
    broker: the loop calls them between a poll and the storing of its records. `poll` and `deliver` may also raise
    RewoundError, which is a BrokerError: everything that was read since the last committed offsets is void. The caller
    drops it, delivered checkpoints excepted, and polls again. RefusedError means that the process cannot go on, for
    example because another one uses its name.

    The delivery mode of the settings decides what is visible after a failure. Exactly once: the messages, the state
    and the offsets of a checkpoint become visible together or not at all. At least once: first the messages, then the
    offsets, then the deletions of state; after a failure in between, records are read again and messages may repeat.
    In both, stream time and `read_from` change together with their offset.
    """

    def poll(self) -> Records:
        """The next records; none after about a second in which none came. At most `batch_size` of the settings.

        No further record comes with those that have more bytes than `StepLimit` allows. Records that would take too
        much memory are set aside: `set_aside` says which row stands for which of them.

        Each record comes once, in offset order within its partition, unless its partition is assigned again.

        `assigned` names the partitions that this member begins to read, or reads again after a RewoundError or after
        it was put out of the group: offset and stream time as they were last committed, and the rows of episode state
        and profiles as they were last delivered. It comes in the same poll as the partition's first record, or in an
        earlier one. What the caller knew of such a partition is void.

        The first record of such a partition is that at `read_from`, or the first one that is still kept after it. The
        records before `offset` were judged before: they only complete the profiles. A checkpoint with a lower offset
        than that does not move the group back. A broker without profiles reads none, and no record again.

        `revoked` names the partitions that this member no longer reads: no record of them follows until they are
        assigned again. Once `revoked` has reported a partition, another member may read it from the committed offset,
        so the caller drops what it has not delivered of it.

        `control_records` are the records of the control topic since the last poll, in order; with the first poll, all
        of them from the beginning.

        A poll also commits the offsets of checkpoints without messages, unless a checkpoint is begun.
        """

    def has_more(self) -> bool:
        """Whether records were fetched already, so that the next poll returns some without waiting.

        False where the broker cannot tell, as kafka-python.
        """

    def begin(self, checkpoint: Checkpoint) -> None:
        """Start to deliver a checkpoint; `deliver` with the same object finishes it and raises what went wrong.

        A second call with the same checkpoint does nothing, nor does one with a checkpoint without messages. Raises
        ValueError while another one is begun.
        """

    def deliver(self, checkpoint: Checkpoint) -> None:
        """Return when the messages, the state and the offsets of the checkpoint are durable.

        A checkpoint without messages and deletions only moves offsets: they are committed later, with the next
        checkpoint, by a poll, or by `close`. Offsets of partitions that were revoked meanwhile are not committed. The
        same object passed again after success does nothing.

        After a BrokerError pass the same object again: messages that the broker has acknowledged are not sent a
        second time. After a RewoundError do not: its records are read again and make a new checkpoint.
        Raises ValueError while another checkpoint is begun: nothing of either is delivered by that call.
        """

    def settled(self) -> bool:
        """Whether deliveries work: offsets were committed since the last RewoundError, or there is nothing to read.

        Records that can be read again do not show that.
        """

    def lag(self) -> Mapping[int, int]:
        """For each assigned partition, the records after the last committed offset, as of about a second ago.

        They are counted up to the first record of an open transaction: nobody can read what comes after that.
        """

    def held_back(self) -> Mapping[int, int]:
        """For each assigned partition, the records that open transactions of publishers hold back from all readers."""

    def obstacle(self) -> str:
        """What would keep an alarm from leaving although the broker answers, as a sentence; empty: nothing known."""

    def joined(self) -> bool:
        """Whether this member belongs to the group and reads every partition that the group has assigned to it.

        It may be none: a group can have more members than partitions.
        """

    def facts(self) -> BrokerFacts:
        """What the broker did since the last call, as counts."""

    def close(self) -> None:
        """Finish a checkpoint that was begun, commit the offsets of those that were delivered, and leave the group.

        Never raises BrokerError: what cannot be committed now is read again by the next member.
        """
