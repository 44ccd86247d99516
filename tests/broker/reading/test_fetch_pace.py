"""What the broker is asked to collect, as the load rises and falls."""

from __future__ import annotations

from monitor.broker.reading.fetch_pace import IDLE_WAIT_MS, MOST_BYTES, FetchPace

BEAT = 560


def paced(beats_per_second, seconds=5, steps_per_second=100):
    pace = FetchPace(max_wait_ms=20)
    share = beats_per_second / steps_per_second
    for count in range(seconds * steps_per_second):
        pace.observe(max(1, round(share)), round(share * BEAT), count / steps_per_second)
    return pace


def test_before_anything_came_the_first_record_is_answered_at_once():
    assert FetchPace(max_wait_ms=20).ask() == (1, IDLE_WAIT_MS)


def test_a_few_beats_a_second_are_answered_one_by_one():
    assert paced(100).ask() == (1, IDLE_WAIT_MS)


def test_a_thousand_a_second_are_collected_for_five_milliseconds():
    size, wait_ms = paced(1000).ask()
    assert 4 * BEAT <= size <= 6 * BEAT
    assert wait_ms == 20


def test_no_more_is_asked_for_than_a_fetch_that_is_worth_it():
    assert paced(1_000_000).ask() == (MOST_BYTES, 20)


def test_when_the_load_is_gone_the_next_beat_is_answered_at_once_again():
    pace = paced(10_000)
    for count in range(1, 200):
        pace.observe(0, 0, 5 + count / 50)
    assert pace.ask() == (1, IDLE_WAIT_MS)


def test_who_allows_no_wait_gets_every_beat_at_once_and_no_empty_answers():
    pace = FetchPace(max_wait_ms=0)
    for count in range(100):
        pace.observe(100, 100 * BEAT, count / 100)
    assert pace.ask() == (1, IDLE_WAIT_MS)


def test_a_longer_wait_than_that_of_an_idle_broker_is_kept():
    assert FetchPace(max_wait_ms=5000).ask() == (1, 5000)
