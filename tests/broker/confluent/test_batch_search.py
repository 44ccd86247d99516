"""The search for the end of a batch that cannot be inflated, in logs of any shape."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.broker.confluent.batch_search import BatchSearch


@given(st.integers(0, 9), st.integers(1, 70_000), st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=5))
def test_it_finds_the_offsets_of_the_batch_and_of_no_other_record(first, size, following):
    batches = [(first, size)]  # that cannot be inflated
    end = first + size
    for is_bad, count in following:
        batches += [(end, count)] if is_bad else []
        end += count
    search, reads = BatchSearch(first, first, end), 0
    while not search.is_done:
        at, reads = search.next_offset(), reads + 1
        bad = [start for start, count in batches if start <= at < start + count]
        search.failed(bad[0]) if bad else search.succeeded()
    found = search.found()
    assert (found.first_offset, found.last_offset) == (first, first + size - 1)
    assert search.next_offset() == first + size
    assert reads <= 40
