"""`SampleClock`: the times of samples stay right however they come in."""

from __future__ import annotations

import pytest

from monitor.recordings.sample_clock import EARLY_SECONDS, SampleClock

HZ = 250
DAY_SECONDS = 24 * 3600


def fed(clock, arrivals):
    """Feed (count, time of arrival) and give the error of the newest sample's time after each, in seconds."""
    for count, now in arrivals:
        clock.came(count, now)
        yield clock.zero + clock.signal_seconds - now


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_a_device_whose_clock_is_wrong_is_followed_over_a_day(ppm):
    packets = ((HZ, 1000 + (number + 1) * (1 + ppm / 1e6)) for number in range(DAY_SECONDS))
    errors = list(fed(SampleClock(HZ), packets))
    assert max(map(abs, errors)) < 0.01


def test_late_packets_do_not_move_the_times():
    clock = SampleClock(HZ)
    for number in range(1, 600):
        clock.came(HZ, number + (0.3 if number % 3 else 0))
    assert clock.zero + 599 == pytest.approx(599, abs=0.02)


def test_a_pause_after_which_all_samples_come_moves_nothing():
    clock = SampleClock(HZ)
    for number in range(1, 61):
        clock.came(HZ, number)
    for number in range(61, 91):
        clock.came(HZ, 90 + number / 1000)
    for number in range(91, 100):
        clock.came(HZ, number + 0.1)
    assert clock.zero + 99 == pytest.approx(99, abs=0.2)


def test_samples_that_were_lost_move_the_times_forward():
    clock = SampleClock(HZ)
    for now in [*range(1, 61), *range(3600, 3610)]:
        clock.came(HZ, now)
    assert clock.zero + clock.signal_seconds == pytest.approx(3609)


def test_a_delay_that_looked_like_a_loss_is_taken_back():
    clock = SampleClock(HZ)
    arrivals = [*((HZ, now) for now in range(1, 61)), *((HZ, now) for now in range(91, 101)), (30 * HZ, 101)]
    errors = list(fed(clock, arrivals))
    assert errors[-1] == pytest.approx(0, abs=0.01)
    assert clock.early_seconds == 0


def test_what_was_waiting_at_the_start_was_taken_before_it():
    clock = SampleClock(HZ)
    clock.came(4 * HZ, 100)
    assert clock.zero + 0 == 96


def test_a_stored_signal_is_waited_for():
    clock, now = SampleClock(HZ), 0.0
    for _ in range(600):
        clock.came(HZ, now)
        now += clock.early_seconds
    assert now == pytest.approx(600 - 1 - EARLY_SECONDS, rel=0.01)
    assert clock.zero + clock.signal_seconds == pytest.approx(now, abs=0.01)
