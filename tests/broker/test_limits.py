"""How much a step may bring, after slow and after quick ones."""

from __future__ import annotations

import pytest

from monitor.beats.beat import FLOAT32_BYTES
from monitor.broker.limits import StepLimit, weight
from monitor.settings import Settings

FULL = StepLimit.full(Settings())


def test_a_step_that_timed_out_is_halved_down_to_few_records_and_grows_again_after_quick_ones():
    limits = [FULL]
    for _ in range(20):
        limits.append(limits[-1].after(8.5, FULL))
    assert limits[1] == StepLimit(FULL.records // 2, FULL.bytes // 2, 8.5)
    assert limits[-1] == StepLimit(16, 64 * 1024, 8.5)
    for _ in range(20):
        limits.append(limits[-1].after(0.1, FULL))
    assert limits[-1] == FULL


@pytest.mark.parametrize("seconds", [0.3, 0.9])
def test_between_slow_and_quick_it_grows_slowly(seconds):
    assert StepLimit(100, 1000).after(seconds, FULL) == StepLimit(125, 1250)


def records_after(steps, seconds_of):
    limit = FULL
    for _ in range(steps):
        limit = limit.after(seconds_of(limit), FULL)
    return limit.records


@pytest.mark.parametrize("fixed_seconds", [0.1, 0.6, 1.2, 3.0])
def test_a_broker_that_takes_its_time_for_each_step_however_small_does_not_make_steps_small(fixed_seconds):
    assert records_after(40, lambda limit: fixed_seconds + 1e-5 * limit.records) > FULL.records / 8


def test_records_that_take_long_make_steps_that_do_not():
    for steps in range(10, 40):
        assert 0.004 * records_after(steps, lambda limit: 0.1 + 0.004 * limit.records) < 2.5


def test_a_step_of_few_records_is_never_made_larger_than_the_setting():
    full = StepLimit.full(Settings(batch_size=4))
    assert full.after(9, full) == full.after(0, full).after(9, full)
    assert full.after(9, full).records == 4


def test_beats_count_their_bytes_and_everything_else_more():
    assert weight([FLOAT32_BYTES] * 100) == 100 * FLOAT32_BYTES
    assert weight([FLOAT32_BYTES, 1, 1500, 60_000]) == FLOAT32_BYTES + 4096 + 6000 + 480_000
    assert weight([]) == 0


def test_what_is_refused_unread_counts_no_more_than_its_bytes():
    assert weight([65_537]) == weight([65_536]) == weight([500_000]) == 8 * 65_536
    assert weight([9_000_000]) == 9_000_000


def test_a_full_step_has_all_its_float32_beats_and_a_fraction_of_its_junk():
    assert FULL.bytes // weight([FLOAT32_BYTES]) > FULL.records
    assert FULL.bytes // weight([1]) == FULL.records // 4
    assert FULL.bytes // weight([60_000]) < 40
