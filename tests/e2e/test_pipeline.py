"""Beats of ECG5000 go in and alerts come out, on a running broker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import closing

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deploy import reference
from monitor.beats import beat_file
from monitor.beats.stream import encode
from monitor.broker import Publisher
from monitor.records.record import Message
from tests.beats.test_parse import NOT_BEATS
from tests.e2e.daemon import Daemon, read_all, read_json

SOURCES = 60
BAD = 225


@pytest.fixture(scope="module")
def test_beats(ecg_data):
    return beat_file.read(ecg_data / "ECG5000_TEST.tsv")


def mixed_stream(beats):
    """Every test beat, a third as float32 and two thirds as JSON, with 225 records among them that are not beats."""
    junk = [value for value, _ in NOT_BEATS.values()]
    for row, samples in enumerate(beats.samples):
        label = b"%d" % beats.abnormal[row]
        form = "float32" if row % 3 == 0 else "json"
        yield b"bed-%d" % (row % SOURCES), encode(samples, form), (("label", label),)
        if row % (len(beats.samples) // BAD) == 0:
            yield b"bed-%d" % (row % SOURCES), junk[row // 20 % len(junk)], (("bad", b"%d" % row),)


def test_every_test_beat_is_scored_once_and_every_bad_record_is_a_dead_letter(
    make_settings, model_file, test_beats, tmp_path
):
    settings = make_settings(partitions=4, scores=True)
    with closing(Publisher(settings)) as publisher:
        for key, value, headers in mixed_stream(test_beats):
            publisher.send(Message(settings.beats_topic, key, value, headers))
        publisher.flush()
    with Daemon(settings, model_file, tmp_path / "log") as daemon:
        total = len(test_beats.samples) + BAD
        daemon.wait_until(
            lambda: daemon.metric("beats_total") + daemon.metric("dead_letters_total") >= total, "all judged"
        )
        daemon.wait_until(lambda: daemon.metric("lag_records") == 0, "without lag")
        assert daemon.get("/healthz")[0] == 200
        assert daemon.terminate() == 0
    published = {(r.partition, r.offset): r for r in read_all(settings, settings.beats_topic)}
    scores = read_json(settings, settings.scores_topic)
    assert len(scores) == len(test_beats.samples) == 4500
    by_place = {(score["partition"], score["offset"]): score["score"] for score in scores}
    good = {place: record for place, record in published.items() if record.headers[0][0] == "label"}
    assert by_place.keys() == good.keys()
    labels = [record.headers[0][1] == b"1" for record in good.values()]
    assert roc_auc_score(labels, [by_place[place] for place in good]) >= 0.990
    letters = read_all(settings, settings.dead_letters_topic)
    assert len(letters) == BAD
    for letter in letters:
        headers = dict(letter.headers)
        original = published[int(headers["partition"]), int(headers["offset"])]
        assert (letter.key, letter.value) == (original.key, original.value)
        assert headers["bad"] == dict(original.headers)["bad"]
        assert headers["reason"]


@pytest.mark.slow
def test_beats_scored_before_a_stop_are_not_scored_again(make_settings, model_file, test_beats, tmp_path):
    settings = make_settings(scores=True)
    for run in range(2):
        with closing(Publisher(settings)) as publisher:
            for samples in test_beats.samples[100 * run : 100 * (run + 1)]:
                publisher.send(Message(settings.beats_topic, b"bed", encode(samples, "float32")))
            publisher.flush()
        with Daemon(settings, model_file, tmp_path / "log") as daemon:
            daemon.wait_until(lambda: daemon.metric("beats_total") >= 100, "all judged")
            assert daemon.terminate() == 0
            assert "stopped: everything read is delivered" in daemon.log()
    assert len(read_json(settings, settings.scores_topic)) == 200


def test_a_json_beat_typed_in_raises_a_readable_alert(make_settings, model_file, test_beats, tmp_path):
    settings = make_settings()
    odd = test_beats.samples[np.flatnonzero(test_beats.abnormal)[0]]
    typed = json.dumps({"samples": [round(float(sample), 3) for sample in odd], "typed": "by hand"}, indent=1)
    rule = {"MONITOR_EPISODE_OPEN": "1", "MONITOR_EPISODE_WINDOW": "1"}
    with Daemon(settings, model_file, tmp_path / "log", MONITOR_LOG_FORMAT="json", **rule) as daemon:
        with closing(Publisher(settings)) as publisher:
            publisher.send(Message(settings.beats_topic, "Bett 7 ä".encode(), typed.encode()))
            publisher.flush()
        daemon.wait_until(lambda: daemon.metric("alerts_total") == 1, "alerted")
        daemon.wait_until(lambda: daemon.metric("assigned_partitions") > 0, "counted its partitions")
        assert daemon.get("/readyz") == (200, '{"ok":true,"wrong":{}}\n')
        assert daemon.metric("ready") == daemon.metric("healthy") == daemon.metric("joined") == 1
        assert_lint_free(daemon.get("/metrics")[1])
        assert_as_documented(daemon.get("/metrics")[1])
        assert daemon.terminate() == 0
    assert_tells_its_life(daemon.log())
    (alert,) = read_json(settings, settings.alerts_topic)
    assert (alert["source"], alert["event"], alert["kind"]) == ("Bett 7 ä", "opened", "physiological")
    assert alert["score"] > alert["threshold"]
    assert len(alert["samples"]) == len(alert["reconstruction"]) == 140
    assert abs(np.mean(alert["samples"])) < 0.1


def assert_lint_free(scrape):
    """As far as Debian's promtool is there: what this scrape lacks, nothing else has."""
    promtool = shutil.which("promtool")
    if promtool is not None:
        lint = [promtool, "check", "metrics", "--extended"]
        done = subprocess.run(lint, input=scrape, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def assert_as_documented(scrape):
    """No metric is missing in the docs' table or made up there, and the infos have the labels that it says."""
    shown = {line.split()[2] for line in scrape.splitlines() if line.startswith("# TYPE ecg_monitor_")}
    documented = {row.split("`")[1] for row in reference.rows()}
    assert shown == {name for name in documented if not name.startswith("ecg_monitor_forward_")}  # of another process
    for name, labels in reference.INFO_LABELS.items():
        (line,) = re.findall(rf"^ecg_monitor_{name}_info\{{(.*)\}}", scrape, re.MULTILINE)
        assert set(re.findall(r'(\w+)="', line)) == set(labels)


def assert_tells_its_life(log):
    """Each event is one line of JSON, and no line has the name of a source."""
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    for event in (
        "ecg-monitor ",
        "metrics and health at http://127.0.0.1:",
        "model ",
        "partitions of ",
        "partitions go on at their offsets ",
        "ready: ",
        "stopped: everything read is delivered",
    ):
        assert [message for message in messages if message.startswith(event)], event
    assert "Bett 7" not in log
