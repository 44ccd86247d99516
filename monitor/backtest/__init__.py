"""Alarms on recordings, counted against their annotations.

result = backtest(open_recording(path), BacktestPlan(("normal",)))
result.counted[0]                    # of the first sensitivity
total([counted, …]), bootstrap([counted, …], lambda one: one.false / one.hours)
"""

from monitor.backtest.counting import Counted, Range, bootstrap, count, total
from monitor.backtest.episodes import EpisodePlayer, OpenStretch, PlayedEpisode
from monitor.backtest.playing import BacktestPlan, BacktestResult, backtest
from monitor.backtest.step_player import JudgedPiece, StepPlan, StepPlayer
from monitor.backtest.truth import Truth, truth_of
from monitor.backtest.verdict_file import VerdictFile

__all__ = [
    "BacktestPlan",
    "BacktestResult",
    "Counted",
    "EpisodePlayer",
    "JudgedPiece",
    "OpenStretch",
    "PlayedEpisode",
    "Range",
    "StepPlan",
    "StepPlayer",
    "Truth",
    "VerdictFile",
    "backtest",
    "bootstrap",
    "count",
    "total",
    "truth_of",
]
