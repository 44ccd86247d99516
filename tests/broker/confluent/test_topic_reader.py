"""What a reader of a topic leaves behind, without a broker."""

from __future__ import annotations

import pytest

from monitor.broker.confluent import topic_reader
from monitor.broker.confluent.connecting import ConnectionErrors
from monitor.broker.confluent.topic_reader import ConfluentTopic
from monitor.errors import RefusedError
from monitor.settings import Settings
from tests.broker.confluent.scripted import ScriptedAdmin


def test_a_reader_that_cannot_be_built_leaves_no_connection(monkeypatch):
    admin = ScriptedAdmin()
    monkeypatch.setattr(topic_reader, "connect", lambda settings, _seconds: (admin, ConnectionErrors(settings)))
    with pytest.raises(RefusedError, match=r"fetch.wait.max.ms"):
        ConfluentTopic(Settings(), "beats", -1)
    assert admin.is_closed
