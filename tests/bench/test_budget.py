"""A lower bound of how much faster this monitor is than a record-at-a-time loop on the same topic."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from bench.case import Case, fresh_prefix
from bench.contenders import CONTENDERS
from bench.run import RunFailure, in_turn
from bench.topic_load import Load, fill

# Ratios of medians, so that the speed of the machine cancels out. CPU time hardly changes when other work shares the
# cores. The rate also contains waiting, which varies more. Both bounds are 60 % of the least of `make bench`.
LEAST_CPU_RATIO = 35.0  # measured: 59 and 87 on two machines
LEAST_RATE_RATIO = 46.0  # measured: 77 to 98
BEATS = {"monitor": 150_000, "record": 3000}
ROUNDS = 3

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def test_the_monitor_is_many_times_faster_than_one_record_at_a_time(kafka, default_model_file, ecg_data):
    case = Case(kafka.address, fresh_prefix(), "fill", str(default_model_file), 0, 20.0)
    fill(case, ecg_data / "ECG5000_TEST.tsv", Load(BEATS["monitor"], 60))
    cases = {name: replace(case, beats=beats, options=CONTENDERS[name].options) for name, beats in BEATS.items()}
    found = in_turn(cases, ROUNDS)
    assert not [one.reason for results in found.values() for one in results if isinstance(one, RunFailure)]
    cpu_us, rate = ({name: _median(results, of) for name, results in found.items()} for of in ("cpu_us", "rate"))
    assert cpu_us["record"] / cpu_us["monitor"] >= LEAST_CPU_RATIO, found
    assert rate["monitor"] / rate["record"] >= LEAST_RATE_RATIO, found


def _median(results, of):
    return statistics.median(getattr(one, of) for one in results)
