"""When the samples of a live signal were taken.

A device counts samples by its own clock, and they come late: through a pipe, a network, in packets. So the time of a
sample is its number divided by the rate, counted from a *zero*, which is the time of the first sample. The zero starts
where the first samples came in and is then corrected, so that the newest sample is never later than now:

* Samples that come early mean that the zero is too late, because earlier ones were delayed. It moves back, but by
  EARLY_SECONDS and a thousandth of the time altogether: more than that is no live signal. The rest is waited for.
* Samples that stay late mean that the device's clock is slow, or that samples were lost. The zero moves forward by a
  thousandth of the time, or by the whole delay where it is longer than LOST_SECONDS. What the zero has moved forward,
  it may move back: a delay that looked like a loss was none.
"""

from __future__ import annotations

EARLY_SECONDS = 5.0
DRIFT = 0.001  # of the time: crystals are within 0.0001
LOST_SECONDS = 2.0
WINDOW_SECONDS = 3.0  # the least delay in so long a time is the delay; more is jitter


class SampleClock:
    """Counts the samples of one signal. All times are seconds of one monotonic clock, which the caller reads."""

    def __init__(self, hz: float) -> None:
        self._hz = hz
        self._count = 0
        self.zero = 0.0  # when the first sample was taken; void before one came
        self._may_move_back = EARLY_SECONDS  # seconds
        self._last = 0.0  # when samples came last
        self._since: float | None = None  # start of the window
        self._delay = 0.0  # the least in the window
        self.early_seconds = 0.0  # by which the last samples came too early; the caller waits so long

    @property
    def signal_seconds(self) -> float:
        """Duration of the samples so far."""
        return self._count / self._hz

    def came(self, count: int, now: float) -> None:
        """Count further samples, the last of which has just come."""
        if not self._count:
            self.zero = self._last = now - count / self._hz
        self._count += count
        self._may_move_back += DRIFT * (now - self._last)
        self._last = now
        delay = now - self.zero - self.signal_seconds
        self._watch(max(0.0, delay), now)
        self._move_back(-delay)

    def _move_back(self, early: float) -> None:
        """Move the zero back by what samples came early, in seconds, as far as it may."""
        move = max(0.0, min(early, self._may_move_back))
        self.zero -= move
        self._may_move_back -= move
        self.early_seconds = max(0.0, early - move)

    def _watch(self, delay: float, now: float) -> None:
        """Note the least delay of a window, and move the zero forward at its end."""
        if self._since is None:
            self._since, self._delay = now, delay
            return
        self._delay = min(self._delay, delay)
        if now - self._since < WINDOW_SECONDS:
            return
        move = self._delay if self._delay > LOST_SECONDS else min(self._delay, DRIFT * (now - self._since))
        self.zero += move
        self._may_move_back += move
        self._since = None
