"""`ecg-monitor threshold` on a running broker: set, show, clear, and messages on the topic that are not valid."""

from __future__ import annotations

from contextlib import closing

import orjson
import pytest

from monitor.broker import Publisher
from monitor.model import artifact
from monitor.records.record import Message
from tests import models
from tests.command_line import invoke, leave_settings_behind
from tests.conftest import settings_on
from tests.e2e.daemon import read_all

NOBODY = "127.0.0.1:1"


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run `ecg-monitor threshold …` with just these settings; gives exit code, output and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)
    artifact.save(tmp_path / "model.safetensors", models.model())

    def run(settings, *arguments, **variables):
        given = {"bootstrap_servers": settings.bootstrap_servers, "control_topic": settings.control_topic} | variables
        for name, value in given.items():
            monkeypatch.setenv(f"MONITOR_{name.upper()}", str(value))
        return invoke(monkeypatch, capsys, "threshold", *arguments)

    return run


def put(settings, *pairs):
    with closing(Publisher(settings)) as publisher:
        for key, value in pairs:
            publisher.send(Message(settings.control_topic, key, value))
        publisher.flush()


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_threshold_that_is_set_is_shown_with_its_version_and_author(command, make_settings):
    settings = make_settings()
    done = command(settings, "set", "--source", "bed 7", "--value", "0.042", "--note", "pacemaker", "--by", "ann")
    assert done == (0, "threshold/bed 7: threshold 0.042, version 0\n", "")
    [record] = read_all(settings, settings.control_topic)
    assert record.key == b"threshold/bed 7"
    assert orjson.loads(record.value) == {"threshold": 0.042, "by": "ann", "note": "pacemaker"}
    code, out, err = command(settings, "show")
    header, own, model, holds = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split() == ["key", "set", "threshold", "version", "when", "by", "note"]
    name, setting, value, version, _, by, note = cells(own)
    assert (name, setting, value) == ("threshold/bed 7", "threshold 0.042", "0.042")
    assert (version, by, note) == ("0", "ann", "pacemaker")
    assert model.startswith("the model")
    assert holds.startswith("every source without its own: threshold ")
    assert holds.endswith("from the model")


def test_a_rate_is_shown_with_the_threshold_that_it_comes_to(command, make_settings):
    settings, calibration = make_settings(), models.model().manifest.calibration
    code, out, err = command(settings, "set", "--false-alarm-rate", "0.1")
    assert (code, err) == (0, "")
    assert f"threshold/*: false-alarm rate 0.1, threshold {calibration[-4]:g} with" in out
    out = command(settings, "show")[1]
    assert f"every source without its own: threshold {calibration[-4]:g} from threshold/*" in out
    code, out, err = command(settings, "show", model="nowhere")
    assert code == 0
    assert "warning: rates cannot be turned into thresholds without a model: nowhere" in err
    assert "every source without its own: threshold ? from threshold/*" in out


def test_the_threshold_of_one_source_is_shown_on_demand(command, make_settings):
    settings = make_settings()
    put(settings, (b"threshold/a", b'{"threshold": 2}'), (b"threshold/b", b'{"threshold": 3}'))
    out = command(settings, "show", "--source", "b", threshold=0.5)[1]
    assert "threshold/a" not in out
    assert out.splitlines()[-1] == "b: threshold 3 from threshold/b"
    assert command(settings, "show", "--source", "c")[1].splitlines()[-1] == "c: threshold 0.5 from MONITOR_THRESHOLD"
    put(settings, (b"threshold/*", b'{"threshold": 4}'))
    assert command(settings, "show", "--source", "c")[1].splitlines()[-1] == "c: threshold 4 from threshold/*"


def test_a_cleared_threshold_is_removed_and_can_be_cleared_once(command, make_settings):
    settings = make_settings()
    command(settings, "set", "--value", "2")
    assert command(settings, "clear") == (0, "threshold/*: cleared, version 1\n", "")
    assert [record.value for record in read_all(settings, settings.control_topic)][-1] is None
    assert "threshold/*" not in command(settings, "show")[1]
    assert command(settings, "clear") == (0, "threshold/*: nothing was set, there is nothing to clear\n", "")


def test_an_invalid_record_is_shown_as_ignored_without_control_sequences(command, make_settings):
    settings = make_settings()
    evil = orjson.dumps({"threshold": 3, "by": "\x1b[2J", "note": "\x07" * 1000})
    put(settings, (b"threshold/\x1b[2J", evil), (b"threshold/bed", b'{"threshold": 2}'), (b"threshold/bed", b"\x1b"))
    put(settings, (b"acknowledge/x", b"later"), (b"threshold/*", b'{"false_alarm_rate": 1e-9}'))
    code, out, err = command(settings, "show")
    assert code == 0
    assert out.replace("\n", "").isprintable()
    assert err.replace("\n", "").isprintable()
    assert "threshold 2" in out
    threshold, acknowledgement, finest = err.splitlines()
    assert threshold.startswith("warning: control record at offset 2, key threshold/bed: not JSON")
    assert acknowledgement.startswith("warning: control record at offset 3, key acknowledge/x: not JSON")
    assert "1/41 is the finest" in finest


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--value", "nan"], "`threshold` is nan"),
        (["--value", "-1"], "`threshold` is -1"),
        (["--false-alarm-rate", "1"], "`false_alarm_rate` is 1"),
        (["--false-alarm-rate", "0.001"], "finer than the model's 40 normal beats can support: 1/41 is the finest"),
        (["--value", "1", "--false-alarm-rate", "0.1"], "give one of --value and --false-alarm-rate"),
        ([], "give one of --value and --false-alarm-rate"),
        (["--value", "1", "--source", ""], "the source has no name"),
        (["--value", "1", "--note", "x" * 70_000], "more than the 65536 bytes that a control message has at most"),
    ],
)
def test_an_invalid_threshold_is_refused_before_kafka_is_contacted(command, arguments, expected):
    code, _, stderr = command(settings_on(NOBODY), "set", *arguments)
    assert code == 2
    assert expected in stderr


def test_a_rate_needs_a_model_and_a_value_needs_none(command, make_settings):
    settings = make_settings()
    code, _, stderr = command(settings, "set", "--false-alarm-rate", "0.1", model="nowhere")
    assert code == 2
    assert "nowhere: cannot be read" in stderr
    assert command(settings, "set", "--value", "1")[0] == 0


@pytest.mark.parametrize("arguments", [["show"], ["set", "--value", "1"], ["clear"]])
def test_a_missing_topic_is_named_with_the_command_that_makes_it(command, broker, arguments):
    settings = settings_on(broker.address)
    code, _, stderr = command(settings, *arguments)
    assert code == 1
    assert f"no topic {settings.control_topic}" in stderr
    assert "ecg-monitor topics create" in stderr
