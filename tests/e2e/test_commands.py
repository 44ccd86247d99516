"""The commands of `ecg-monitor` on a running broker."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing

import orjson
import pytest

from monitor.broker import Publisher
from monitor.demo.embedded_broker import stop
from monitor.records.record import Message
from tests.commands.test_alerts import ALERT
from tests.conftest import REPOSITORY
from tests.e2e.daemon import TOPICS, clean_environment, read_all

LIMIT_SECONDS, DEMO_SECONDS = 240, 900


@pytest.fixture
def run(make_settings, tmp_path):
    """Run `python -m monitor …` on topics of its own."""
    settings = make_settings()
    names = ("bootstrap_servers", *TOPICS)
    environment = clean_environment() | {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}

    def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "monitor", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )

    run_command.settings, run_command.environment = settings, environment
    return run_command


def test_topics_create_prints_what_it_did(run):
    done = run("topics", "create")
    assert done.returncode == 0
    assert done.stdout.count("there already") == 7


@pytest.mark.parametrize(("name", "form"), [("ECG5000_TRAIN.tsv", "float32"), ("ecg.csv", "json")])
def test_publish_sends_every_beat_of_a_file(run, ecg_data, name, form):
    if not (ecg_data / name).exists():
        name = "ECG5000_TEST.tsv"
    done = run("publish", ecg_data / name, "--sources", "7", "--format", form)
    assert done.returncode == 0, done.stderr
    found = read_all(run.settings, run.settings.beats_topic)
    assert f"{len(found):,} beats of 7 sources published" in done.stdout
    assert len(found) in {500, 4500, 5000}
    assert len({record.key for record in found}) == 7
    assert {record.headers[0][0] for record in found} == {"label"}


@pytest.mark.usefixtures("kafka")
def test_publish_stamps_beats_from_a_start_and_warns_of_the_retention(run, ecg_data):
    done = run("publish", ecg_data / "ECG5000_TRAIN.tsv", "--start", "2020-01-01T00:00:00Z")
    assert done.returncode == 0
    assert "keeps records for 1 hour, counted from their own timestamps" in done.stderr


def test_publish_in_a_loop_ends_in_order_on_ctrl_c(run, ecg_data):
    command = [sys.executable, "-m", "monitor", "publish", str(ecg_data / "ECG5000_TRAIN.tsv"), "--loop"]
    process = subprocess.Popen(
        [*command, "--rate", "2000"], env=run.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        while not read_all(run.settings, run.settings.beats_topic):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        stop(process, 5)
    assert process.returncode == 0
    assert f"{len(read_all(run.settings, run.settings.beats_topic)):,} beats" in output


def test_alerts_are_shown_readable_and_as_json(run):
    with closing(Publisher(run.settings)) as publisher:
        publisher.send(Message(run.settings.alerts_topic, b"bed 7", orjson.dumps(ALERT)))
        publisher.flush()
    shown = run("alerts", "--from-beginning", "--count", "1")
    assert "OPENED  medium  physiological" in shown.stdout
    assert "█" in shown.stdout
    raw = run("alerts", "--from-beginning", "--count", "1", "--json")
    assert orjson.loads(raw.stdout) == ALERT


def test_alerts_of_one_source_are_shown_and_it_is_said_that_the_command_waits(run):
    with closing(Publisher(run.settings)) as publisher:
        for source in ("bed 6", "bed 7", "bed 6", "bed 7"):
            alert = orjson.dumps(ALERT | {"source": source})
            publisher.send(Message(run.settings.alerts_topic, source.encode(), alert))
        publisher.flush()
    shown = run("alerts", "--from-beginning", "--source", "bed 7", "--count", "2")
    assert shown.stdout.count("bed 7") == 2
    assert "bed 6" not in shown.stdout
    assert shown.stderr == f"waiting for alerts of bed 7 on {run.settings.alerts_topic}; Ctrl-C ends it\n"


def test_check_accepts_a_correct_setup(run, model_file):
    run.environment["MONITOR_MODEL"] = str(model_file)
    done = run("check")
    assert done.returncode == 0, done.stderr
    assert "loads and scores its golden beats" in done.stdout
    assert "its beats: from R to R, stretched to 140 samples" in done.stdout
    assert "the topics and the rights are there" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(DEMO_SECONDS)
def test_the_demo_ends_by_itself_with_all_beats_a_picture_and_recordings_where_there_are_some(ecg_data, tmp_path):
    recordings = ecg_data.parent / "mitdb"  # where there are none, the demo says so
    command = [sys.executable, "-m", "monitor", "demo", "--data", str(ecg_data), "--out", str(tmp_path)]
    command += ["--recordings", str(recordings)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20,000 published, 20,000 scored, 0 not scored, 0 scored twice" in done.stdout
    assert "20 published, 20 dead letters" in done.stdout
    assert (tmp_path / "worst-beats.png").read_bytes().startswith(b"\x89PNG")
    last = next((line.split() for line in done.stdout.splitlines() if line.startswith(" all 5")), None)
    if recordings.is_dir():
        assert last is not None
        assert (last[2], last[3]) == ("2.1", "3")  # hours, and runs of ventricular beats
        assert int(last[5]) >= int(last[6]) >= int(last[7])  # alarms, false ones, those but for changes
    else:
        assert "this demo has shown ECG5000 only" in done.stdout
