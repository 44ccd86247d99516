"""The log's two forms."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import orjson
import pytest

from monitor import log


@pytest.fixture(autouse=True)
def _restored():
    root, kafka = logging.getLogger(), logging.getLogger("kafka")
    hooks = sys.excepthook, threading.excepthook
    before = (root.handlers[:], root.level, kafka.level)
    yield
    root.handlers[:], kafka.level = before[0], before[2]
    sys.excepthook, threading.excepthook = hooks
    root.setLevel(before[1])


def logged(capsys, form):
    log.set_up("INFO", form)
    logging.getLogger("monitor.test").error("it %s", "broke", exc_info=ValueError("why"))
    logging.getLogger("kafka.net").error("chatter")
    return capsys.readouterr().err


def test_json_is_one_line_a_record(capsys):
    (line,) = logged(capsys, "json").splitlines()
    entry = orjson.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("ERROR", "monitor.test", "it broke")
    assert "ValueError: why" in entry["exception"]
    assert entry["time"].endswith("Z")


def test_text_is_for_people(capsys):
    first, *rest = logged(capsys, "text").splitlines()
    assert "ERROR   monitor.test: it broke" in first
    assert rest[-1] == "ValueError: why"


def test_what_the_client_logs_at_debug_is_never_written_since_it_holds_passwords_and_beats(capsys):
    log.set_up("DEBUG", "text")
    logging.getLogger("kafka.protocol.parser").debug("Send: %r", b"s3cret")
    logging.getLogger("kafka.net.connection").info("Connected")
    text = capsys.readouterr().err
    assert "s3cret" not in text
    assert "kafka.net.connection: Connected" in text


def write(seconds, level=logging.WARNING, line=1):
    """A line from one place in the code, so many seconds after the first."""
    record = logging.LogRecord("monitor.test", level, "test.py", line, "again", (), None)
    record.created = 1_000_000.0 + seconds
    logging.getLogger("monitor.test").handle(record)


def test_a_repeated_fault_is_logged_a_few_times_a_minute_and_then_counted(capsys):
    log.set_up("INFO", "json")
    for tenth in range(600):
        write(tenth / 10)
    assert len(capsys.readouterr().err.splitlines()) == log.LINES
    write(60)
    entry = orjson.loads(capsys.readouterr().err)
    assert entry["left_out"] == 600 - log.LINES
    write(60)
    assert "left_out" not in orjson.loads(capsys.readouterr().err)


def test_the_text_form_also_shows_how_many_lines_were_left_out(capsys):
    log.set_up("INFO", "text")
    for second in (*range(10), 60):
        write(second)
    assert capsys.readouterr().err.splitlines()[-1].endswith("again (5 like it were left out before)")


def test_one_fault_does_not_silence_another_and_debug_is_whole(capsys):
    log.set_up("DEBUG", "text")
    for _ in range(20):
        write(0)
        write(0, level=logging.DEBUG, line=2)
    write(0, line=3)
    assert len(capsys.readouterr().err.splitlines()) == log.LINES + 20 + 1


def test_a_crash_is_one_line_of_json_with_its_traceback():
    program = "from monitor import log; log.set_up('INFO', 'json'); 1 / 0"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    entry = orjson.loads(done.stderr)
    assert (done.returncode, entry["level"]) == (1, "CRITICAL")
    assert "ZeroDivisionError" in entry["exception"]
