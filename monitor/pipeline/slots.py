"""The batches that were read and are not delivered yet: one in each of three slots at most, and the rest of a poll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.pipeline.parsed import Parsed
    from monitor.pipeline.step import Step
    from monitor.records.record import Records


@dataclass(slots=True)
class Slots:
    """Three slots, and every move between them. A batch moves forward only, and only into an empty slot.

    | move        | from         | to           | when                                                           |
    |-------------|--------------|--------------|----------------------------------------------------------------|
    | `add`       | the broker   | `scoring`    | a poll brought records                                         |
    | `judge`     | `scoring`    | `judged`     | after the next poll; at once where no more records wait        |
    | `hand_over` | `judged`     | `delivering` | the broker is asked to deliver it                              |
    | `confirm`   | `delivering` | nowhere      | the broker has it                                              |
    | `drop`      | all three    | nowhere      | a transaction was aborted: the broker brings all of it again   |

    `must_poll` is true during a poll and after a poll that failed. Such a poll may have revoked partitions of the batch
    in `scoring`. Only the next successful poll says which ones, so this batch must not be judged before it.
    """

    scoring: Parsed | None = None
    judged: Step | None = None
    delivering: Step | None = None
    must_poll: bool = False
    rest: Records | None = None  # of the last poll: they come before those of the next one

    def add(self, parsed: Parsed) -> None:
        self.scoring, self.must_poll = parsed, False

    def judge(self, step: Step) -> None:
        """Move the batch on. `step` is the result of judging the batch in `scoring`."""
        self.scoring, self.judged = None, step

    def hand_over(self) -> None:
        self.judged, self.delivering = None, self.judged

    def confirm(self) -> None:
        self.delivering = None

    def drop(self) -> None:
        self.scoring = self.judged = self.delivering = self.rest = None

    @property
    def can_judge(self) -> bool:
        """Whether a batch in `scoring` may be judged without another poll."""
        return self.judged is None and not self.must_poll

    @property
    def is_all_delivered(self) -> bool:
        """Whether everything that was judged is delivered; a batch in `scoring` does not count."""
        return self.judged is None and self.delivering is None
