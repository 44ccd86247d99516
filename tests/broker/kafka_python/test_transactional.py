"""The waits of a transaction end, whatever the coordinator does."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.producer.transaction_manager import TransactionalRequestResult

from monitor.broker.kafka_python import known_versions
from monitor.broker.kafka_python.transactional import transaction_calls


class Silent:
    """A transaction manager whose coordinator never answers."""

    last_error = KeyError("why")

    def send_offsets_to_transaction(self, *_):
        return TransactionalRequestResult()

    def begin_commit(self):
        return TransactionalRequestResult()

    def begin_abort(self):
        return TransactionalRequestResult()


def producer(manager):
    closed = threading.Event()
    sender = SimpleNamespace(wakeup=lambda: None, force_close=closed.set)
    return SimpleNamespace(_sender=sender, _transaction_manager=manager, closed=closed)


@pytest.mark.parametrize(
    "call",
    [
        lambda calls: calls.send_offsets({}, None, 0.01),
        lambda calls: calls.commit(0.01),
        lambda calls: calls.abort(0.01),
        lambda calls: calls.commit(-1),
    ],
)
def test_a_coordinator_that_never_answers_is_waited_for_up_to_the_limit(call):
    with pytest.raises(KafkaTimeoutError):
        call(transaction_calls(producer(Silent())))


def test_a_failed_producer_is_told_to_send_nothing_more_and_its_error_is_known():
    failed = producer(Silent())
    calls = transaction_calls(failed)
    calls.force_close()
    assert failed.closed.is_set()
    assert str(calls.last_error()) == "'why'"
    assert transaction_calls(producer(None)).last_error() is None


def test_a_client_that_is_not_known_gets_the_public_calls_alone(monkeypatch):
    made = []
    public = SimpleNamespace(
        send_offsets_to_transaction=lambda *_: made.append("offsets"),
        commit_transaction=lambda: made.append("commit"),
        abort_transaction=lambda: made.append("abort"),
    )
    monkeypatch.setattr(known_versions, "is_known", lambda: False)
    calls = transaction_calls(public)
    calls.send_offsets({}, None, 1)
    calls.commit(1)
    calls.abort(1)
    calls.force_close()
    assert (made, calls.last_error()) == (["offsets", "commit", "abort"], None)
    with pytest.raises(KafkaTimeoutError):
        calls.commit(0)
