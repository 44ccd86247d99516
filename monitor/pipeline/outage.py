"""Outages of the broker: when one began, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Outage:
    """Two facts about the broker, and every change of them.

    | change   | when                                                   | effect                                 |
    |----------|--------------------------------------------------------|----------------------------------------|
    | `begin`  | a call to the broker failed                            | `since` is set, unless it already is   |
    | `end`    | a whole step succeeded, and `is_rewound` does not hold | `since` is None                        |
    | `rewind` | a transaction was aborted                              | `is_rewound` holds                     |
    | `commit` | offsets were committed after the last rewind           | `is_rewound` does not hold             |

    After a rewind, an outage ends only once offsets were committed: a broker that can be read but accepts no messages
    does not work. All times are seconds of the monotonic clock.
    """

    since: float | None = None  # time of the first failed call; None while the broker works
    is_rewound: bool = False
    is_of_delivery: bool = False  # whether the broker answered all the time, and only took no checkpoint

    def begin(self, now: float, *, is_of_delivery: bool = False) -> bool:
        """Note that a call failed. Returns whether this begins a new outage."""
        is_new = self.since is None
        self.is_of_delivery = is_of_delivery and (is_new or self.is_of_delivery)
        if is_new:
            self.since = now
        return is_new

    def end(self) -> None:
        self.since = None

    def rewind(self) -> bool:
        """Note a rewind. Returns whether it is the first one since offsets were last committed."""
        is_first = not self.is_rewound
        self.is_rewound = True
        return is_first

    def commit(self) -> None:
        self.is_rewound = False

    def seconds(self, now: float) -> float:
        """How long the outage has lasted; 0 while the broker works."""
        return 0.0 if self.since is None else now - self.since
