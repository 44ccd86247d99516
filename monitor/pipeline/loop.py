"""The loop: reads a batch of records, takes it through the stages, and delivers it.

With no more records waiting, one thread handles one batch at a time. With more records waiting, two other threads work
at the same time: one scores the batch that was read last, and one delivers the batch before it. The loop's own thread
parses, judges and encodes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from monitor.alarms import control_message, episode_state
from monitor.errors import BrokerError, RewoundError
from monitor.pipeline.outage import Outage
from monitor.pipeline.slots import Slots
from monitor.pipeline.step import Components, Pipeline
from monitor.telemetry.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.pipeline.step import Step
    from monitor.records.record import Assigned, ControlRecord
    from monitor.settings import Settings

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5  # between two tries while the broker is unavailable
DRAIN_SECONDS = 15.0  # after a request to stop, to deliver what was judged


class Loop:
    """Takes steps until it is asked to stop.

    Its state is in three fields: the batches that are not delivered yet (`Slots`), the broker's failures (`Outage`),
    and whether a stop was requested. They decide what a step does:

    | judged or delivering | broker | stop requested | the step                                                       |
    |----------------------|--------|----------------|----------------------------------------------------------------|
    | nothing              | any    | no             | reads, judges, delivers                                        |
    | something            | works  | no             | reads, confirms what is being delivered, judges, delivers      |
    | something            | fails  | any            | reads nothing: first delivers what was judged                  |
    | something            | works  | yes            | reads nothing: delivers what was judged                        |

    "Delivers" means: gives the batch to the broker and waits for the confirmation. There is one exception: while more
    records wait, the broker works and no stop was requested, the step does not wait. The next step then confirms this
    delivery, and judges the batch that was read last.
    """

    def __init__(self, components: Components, settings: Settings, model_id: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._broker = components.broker
        self._thresholds = components.thresholds
        self._episodes = components.episodes
        self._recorder = components.recorder
        self._pipeline = Pipeline(components, settings, model_id, clock)
        self._timeout_seconds = settings.broker_timeout_seconds
        self._clock = clock
        self._slots = Slots()
        self._outage = Outage()
        self._is_stopping = False
        self._recorder.thresholds_changed(self._thresholds)

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Take steps until `should_stop`, then deliver what was judged. Returns whether all that was read is delivered.

        Raises BrokerError when the broker is unavailable for longer than the setting allows, or does not take the last
        messages within DRAIN_SECONDS.
        """
        self._recorder.loop_started()
        while not should_stop():
            self.step()
        self._is_stopping = True
        deadline = self._clock.monotonic() + DRAIN_SECONDS
        while not self._slots.is_all_delivered:
            self.step()
            if self._clock.monotonic() > deadline:
                raise BrokerError("stopped before the broker took the last alerts: their beats will be read again")
        self._recorder.loop_stopped()
        return not self._outage.is_rewound and self._slots.scoring is None and self._slots.rest is None

    def step(self) -> None:
        """Read, judge and deliver. Where the broker fails, pause instead; the next step tries again.

        Raises BrokerError when the broker is unavailable for longer than the setting allows.
        """
        try:
            self._advance()
        except RewoundError as error:
            self._slots.drop()
            self._recorder.rewound()
            if self._outage.rewind():  # one alone is a matter between this member and its group: no reason to wait
                log.warning("%s", error)
            else:
                self._wait_for_broker(error)
        except BrokerError as error:
            self._wait_for_broker(error)
        else:
            self._end_outage()
        self._recorder.step_ended(self._broker.facts())

    def _advance(self) -> None:
        """Read a batch where that is allowed, deliver what can be delivered, and report to the recorder.

        Raises BrokerError when a call to the broker fails; RewoundError is one kind of it.
        """
        if self._may_read():
            self._read()
        progressed = self._deliver()
        if self._broker.settled():
            self._outage.commit()
        self._recorder.records_held_back(self._broker.held_back())
        self._recorder.obstacle_seen(self._broker.obstacle())
        if (counts := self._pipeline.alarms_on.counts(self._clock.monotonic())) is not None:
            self._recorder.alarms_counted(counts)
        self._recorder.progress_made(
            self._broker.lag(),
            progressed,
            self._episodes.open,
            joined=self._broker.joined(),
            completing=self._pipeline.is_completing,
        )

    def _may_read(self) -> bool:
        return self._slots.is_all_delivered or (self._outage.since is None and not self._is_stopping)

    def _may_overlap(self) -> bool:
        """Whether the next batch can be read before this one is finished: more records wait, and nothing is wrong."""
        has_more = self._slots.rest is not None or self._broker.has_more()
        return not self._is_stopping and self._outage.since is None and has_more

    def _read(self) -> None:
        """Poll; judge the batch that was being scored; put the new one into its place."""
        slots, pipeline, started = self._slots, self._pipeline, self._clock.monotonic()
        if slots.rest is not None:
            records, slots.rest = slots.rest, None
        else:
            slots.must_poll = True
            records = self._broker.poll()
            self._recorder.records_read(records, self._broker.lag(), self._clock.monotonic() - started)
            self._apply_control_records(records.control_records)
        records, slots.rest, reached = pipeline.cut(records)
        parsed = pipeline.parse(records, reached) if len(records) or reached else None
        if parsed is not None and (slots.scoring is not None or self._may_overlap()):
            parsed = pipeline.start_scoring(parsed)
        for partition in records.revoked:
            pipeline.revoke(partition)
        self._assign(records.assigned)
        if parsed is not None:
            pipeline.passed(parsed.ends)
        if slots.scoring is not None:
            slots.judge(pipeline.finish(slots.scoring, records.revoked | records.assigned.keys()))
        elif parsed is None and slots.judged is None and pipeline.has_commands():
            parsed = pipeline.parse(records)  # without records: what a command changes does not wait for a beat
        if parsed is not None:
            slots.add(parsed)

    def _deliver(self) -> set[int]:
        """Deliver what can be delivered; gives the partitions of the steps that the broker confirmed."""
        slots, progressed = self._slots, set[int]()
        if slots.delivering is not None:
            progressed |= self._confirm(slots.delivering)
        while True:
            may_overlap = self._may_overlap()
            if slots.scoring is not None and slots.can_judge and not may_overlap and not self._is_stopping:
                slots.judge(self._pipeline.finish(slots.scoring))
            if slots.judged is None:
                return progressed
            step = slots.judged
            slots.hand_over()
            if may_overlap:
                self._broker.begin(step.checkpoint)
                return progressed
            progressed |= self._confirm(step)

    def _confirm(self, step: Step) -> set[int]:
        """Wait until the broker has the step that is being delivered; gives its partitions."""
        started = self._clock.monotonic()
        self._broker.deliver(step.checkpoint)
        self._recorder.step_delivered(step.facts, self._clock.monotonic() - started)
        self._slots.confirm()
        return set(step.partitions)

    def _apply_control_records(self, changes: Sequence[ControlRecord]) -> None:
        complaints = []
        for change in changes:
            log.debug("control record %d: %s", change.offset, change.key)
            if complaint := self._thresholds.apply(change):
                complaints.append(complaint)
        if changes:
            self._pipeline.reset_profiles(control_message.resets(changes))
            self._pipeline.acknowledge(control_message.acknowledgements(changes))
            self._pipeline.pause(control_message.pauses(changes))
            self._pipeline.end_sources(control_message.source_ends(changes))
            self._recorder.control_records_read(len(changes), complaints, self._thresholds)

    def _assign(self, assigned: Mapping[int, Assigned]) -> None:
        """Start to read these partitions, or read them again. The delivered state replaces the one in memory."""
        restored = {partition: episode_state.restore(one) for partition, one in assigned.items()}
        profiles = {
            partition: self._pipeline.assign(partition, assigned[partition], state)
            for partition, state in restored.items()
        }
        self._recorder.partitions_restored(assigned, restored)
        self._recorder.profiles_restored({one: found for one, found in profiles.items() if found is not None})

    def _end_outage(self) -> None:
        if self._outage.is_rewound:  # only a commit shows that the broker works
            return
        if self._outage.since is not None:
            seconds = self._outage.seconds(self._clock.monotonic())
            if self._outage.is_of_delivery:
                log.info("alerts leave again, after %.0f s", seconds)
            else:
                log.info("the broker answers again, after %.0f s", seconds)
        self._outage.end()
        self._recorder.broker_answered()

    def _wait_for_broker(self, error: BrokerError) -> None:
        """Pause. Raises BrokerError when the outage is longer than the setting allows."""
        now = self._clock.monotonic()
        self._recorder.broker_failed(str(error), self._broker.lag())
        if self._outage.begin(now, is_of_delivery=isinstance(error, RewoundError)):
            log.warning("%s: trying again", error)
        seconds = self._outage.seconds(now)
        if seconds > self._timeout_seconds:
            what = "nothing could be delivered" if self._outage.is_of_delivery else "the broker was lost"
            raise BrokerError(f"{what} for {seconds:.0f} s: {error}") from error
        self._clock.sleep(PAUSE_SECONDS)
