"""Alarms on recordings, counted against their annotations.

truth = truth_of(recording.annotations, recording.seconds)
episodes = episodes_of(times, scores, rr, rule)      # the rule `run`, as the monitor applies it
counted = count(truth, episodes, from_seconds=300.0)
total([counted, …]), bootstrap([counted, …])
"""

from monitor.backtest.counting import Counted, Range, bootstrap, count, total
from monitor.backtest.episodes import OpenStretch, PlayedEpisode, episodes_of
from monitor.backtest.truth import Truth, truth_of

__all__ = [
    "Counted",
    "OpenStretch",
    "PlayedEpisode",
    "Range",
    "Truth",
    "bootstrap",
    "count",
    "episodes_of",
    "total",
    "truth_of",
]
