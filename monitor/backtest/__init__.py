"""Alarms on recordings, counted against their annotations.

result = backtest(open_recording(path), BacktestPlan(("normal",), profile_seconds=300.0))
result.counted[0]                    # of the first sensitivity
total([counted, …]), bootstrap([counted, …], lambda one: one.false / one.hours)
"""

from monitor.backtest.counting import Counted, Range, bootstrap, count, total
from monitor.backtest.episodes import OpenStretch, PlayedEpisode, RulePlayer, Verdict
from monitor.backtest.lead import LeadPlayer, LeadScores
from monitor.backtest.playing import BacktestPlan, BacktestResult, backtest
from monitor.backtest.truth import Truth, truth_of
from monitor.backtest.verdict_file import VerdictFile

__all__ = [
    "BacktestPlan",
    "BacktestResult",
    "Counted",
    "LeadPlayer",
    "LeadScores",
    "OpenStretch",
    "PlayedEpisode",
    "Range",
    "RulePlayer",
    "Truth",
    "Verdict",
    "VerdictFile",
    "backtest",
    "bootstrap",
    "count",
    "total",
    "truth_of",
]
