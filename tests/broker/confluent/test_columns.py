"""Messages become columns, partition by partition, in the order of their offsets."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from monitor.broker.confluent.columns import MessageHeaders, blocks_of, read_headers


def message(partition=0, offset=0, key=b"bed 7", value=b"beat", headers=None):
    return Message("beats", partition, offset, key, value, headers, None, (1, 1000 + offset))


def rows(messages):
    return [(block.partition, block.offset.tolist(), list(block.value)) for block in blocks_of(messages)[0]]


def test_records_of_one_partition_are_one_block():
    ((block,), _) = blocks_of([message(2, offset) for offset in (3, 4, 7)])
    assert block.partition == 2
    assert block.offset.tolist() == [3, 4, 7]
    assert block.time.tolist() == [1003, 1004, 1007]
    assert list(block.key) == [b"bed 7"] * 3


def test_partitions_that_come_in_turns_are_put_together_in_order():
    came = [(1, 0), (0, 5), (1, 1), (0, 6), (2, 9), (1, 2)]
    found = rows([message(partition, offset, value=b"%d" % offset) for partition, offset in came])
    assert found == [(0, [5, 6], [b"5", b"6"]), (1, [0, 1, 2], [b"0", b"1", b"2"]), (2, [9], [b"9"])]


def test_partitions_that_come_one_after_the_other_stay_so():
    assert [block.partition for block in blocks_of([message(3), message(3), message(1)])[0]] == [3, 1]


@pytest.mark.parametrize("values", [[b"a", None, b""], [None, None], [b""], [b"", b"xyz"]])
def test_a_value_may_be_empty_or_null(values):
    ((block,), _) = blocks_of([message(0, offset, value=value) for offset, value in enumerate(values)])
    assert list(block.value) == values


def test_a_key_may_be_null():
    ((block,), _) = blocks_of([message(0, 0, key=None), message(0, 1, key=b"bed")])
    assert list(block.key) == [None, b"bed"]


def test_headers_are_pairs_of_name_and_value():
    messages = [message(headers=[("unit", b"mV"), ("unit", b"")]), message()]
    assert read_headers(messages) == [(("unit", b"mV"), ("unit", b"")), ()]


def test_headers_can_be_read_more_than_once_and_in_parts():
    headers = MessageHeaders([message(headers=[("row", b"%d" % row)]) for row in range(4)])
    assert len(headers) == 4
    assert headers[1] == headers[1] == (("row", b"1"),)
    assert headers[-1] == (("row", b"3"),)
    assert headers[1:3] == ((("row", b"1"),), (("row", b"2"),))
    assert list(headers) == list(headers[:])
    with pytest.raises(IndexError):
        headers[4]
