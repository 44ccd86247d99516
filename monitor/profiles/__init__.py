"""A source's own normal: learned from its first minutes without labels, adapted slowly, and compared with each beat.

Windows around R only (`R_CENTRED`): the distance needs the margin of the window and the amplitude of the beat.

Use, for beats of many sources at once:

    profiles = Profiles(seconds=300.0)
    rows = profiles.add(3)                            # rows for new sources
    rows = profiles.restore(states).rows              # or from stored bytes; .faults says what was refused, and why
    rr = profiles.intervals(rows, time_ms)            # RR from record timestamps, NaN where not known
    scored = profiles.observe(SourceBeats(rows, samples, time_ms, rr, noise))
    scored.score                                      # (n,), NaN while the source is still learning
    profiles.encode(rows)                             # list of bytes, at most MAX_PROFILE_BYTES each
    profiles.remove(rows)                             # the rows may be given to other sources

`observe` gives the same results, and leaves the same state, however the beats are cut into batches; only the order of
the beats of one source matters. Whatever changes what a later beat is compared with happens after every 24th beat of a
source: the end of learning, adaptation and new conduction. So a state that was stored at some beat, and the beats after
it, give the state at any later beat.

`score` goes into `monitor.alarms.run_rule.after_scored_beat`.
"""

from monitor.profiles.batch import Notice, NoticeKind, Scored, SourceBeats
from monitor.profiles.profiles import Profiles, ProfileSummary
from monitor.profiles.stored import MAX_PROFILE_BYTES, RestoredProfiles

__all__ = [
    "MAX_PROFILE_BYTES",
    "Notice",
    "NoticeKind",
    "ProfileSummary",
    "Profiles",
    "RestoredProfiles",
    "Scored",
    "SourceBeats",
]
