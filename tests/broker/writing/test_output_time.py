"""Which times records carry after the broker has refused that of this machine."""

from __future__ import annotations

import time

from monitor.broker.writing.output_time import HOUR_MS, OutputTime, shift_ms


def test_records_carry_no_time_of_ours_until_one_was_refused():
    output = OutputTime()
    assert output.times(3) == ()
    output.refuse()
    times = output.times(3)
    assert len(times) == 3
    assert abs(times[0] + HOUR_MS - 1000 * time.time()) < 60_000


def test_the_next_times_are_farther_and_farther_on_both_sides():
    assert [shift_ms(refused) // HOUR_MS for refused in range(1, 7)] == [-1, 1, -4, 4, -16, 16]


def test_a_clock_that_is_wrong_by_a_century_is_no_problem():
    output = OutputTime()
    for _ in range(30):
        output.refuse()
    assert abs(output.times(1)[0]) < 2**62
