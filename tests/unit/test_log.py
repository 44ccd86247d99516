"""The log's two forms."""

from __future__ import annotations

import logging

import orjson
import pytest

from monitor import log


@pytest.fixture(autouse=True)
def _restored():
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    before = (root.handlers[:], root.level, kafka.level)
    yield
    root.handlers[:], kafka.level = before[0], before[2]
    root.setLevel(before[1])


def said(capsys, form):
    log.set_up("INFO", form)
    logging.getLogger("monitor.test").error("it %s", "broke", exc_info=ValueError("why"))
    logging.getLogger("kafka.net").error("chatter")
    return capsys.readouterr().err


def test_json_is_one_line_a_record(capsys):
    (line,) = said(capsys, "json").splitlines()
    entry = orjson.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "monitor.test", "it broke")
    assert "ValueError: why" in entry["exception"]
    assert entry["time"].endswith("Z")


def test_text_is_for_people(capsys):
    first, *rest = said(capsys, "text").splitlines()
    assert "ERROR   monitor.test: it broke" in first
    assert rest[-1] == "ValueError: why"


def test_what_the_client_says_at_debug_is_never_heard_since_it_holds_passwords_and_beats(capsys):
    log.set_up("DEBUG", "text")
    logging.getLogger("kafka.protocol.parser").debug("Send: %r", b"s3cret")
    logging.getLogger("kafka.net.connection").info("Connected")
    said = capsys.readouterr().err
    assert "s3cret" not in said
    assert "kafka.net.connection: Connected" in said
