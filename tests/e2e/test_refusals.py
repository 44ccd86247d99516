"""Every mistake of a user gives one sentence that names it and says what to do, an exit code, and no traceback."""

from __future__ import annotations

import socket

import pytest

from tests.command_line import invoke, leave_settings_behind
from tests.conftest import settings_on

NOBODY = "127.0.0.1:1"
LOGIN = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "monitor"}


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run a command of `ecg-monitor` with just these settings; gives exit code and standard error."""
    leave_settings_behind(monkeypatch, tmp_path)

    def run(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"MONITOR_{name.upper()}", str(value))
        code, _, error = invoke(monkeypatch, capsys, *arguments)
        return code, error.strip().splitlines()[-1]

    return run


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH_SIZ", "1", "did you mean MONITOR_BATCH_SIZE?"),
        ("BATCH_SIZE", "many", "MONITOR_BATCH_SIZE: input should be a valid integer"),
        ("BATCH_SIZE", "0", "MONITOR_BATCH_SIZE: input should be greater than or equal to 1"),
        ("DEVICE", "gpu", "MONITOR_DEVICE: "),
        ("THRESHOLD", "nan", "MONITOR_THRESHOLD: "),
        ("DELIVERY", "twice", "MONITOR_DELIVERY: "),
        ("EPISODE_OPEN", "6", "lower the one or raise the other"),
    ],
)
def test_a_wrong_setting_is_named(command, name, value, expected):
    code, message = command("run", **{name: value})
    assert code == 2
    assert expected in message


def test_an_unknown_setting_in_the_dotenv_file_is_named_and_foreign_keys_are_left_alone(command, tmp_path):
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nMONITOR_TOPIC=y\n")
    code, message = command("check")
    assert code == 2
    assert message.startswith("error: MONITOR_TOPIC in .env is not a setting of the monitor")


def test_a_missing_password_file_is_named(command):
    code, message = command("topics", "create", **LOGIN, sasl_password_file="nowhere")
    assert code == 2
    assert "MONITOR_SASL_PASSWORD_FILE=nowhere" in message


def test_a_missing_model_is_named(command):
    code, message = command("run", http_port=0)
    assert code == 2
    assert "model.safetensors: cannot be read: No such file or directory" in message
    assert "ecg-trainer ecg" in message


def test_a_damaged_model_is_refused(command, model_file, tmp_path):
    data = bytearray(model_file.read_bytes())
    data[-1] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    code, message = command("run", model="damaged", http_port=0)
    assert code == 2
    assert "damaged: its bytes are not those that were written" in message


@pytest.mark.parametrize("arguments", [["run"], ["topics", "create"], ["alerts"], ["alarms"]])
def test_a_broker_that_does_not_answer_is_exit_1(command, model_file, arguments):
    settings = {"bootstrap_servers": NOBODY, "broker_timeout_seconds": 0.5, "model": model_file, "http_port": 0}
    code, message = command(*arguments, **settings)
    assert code == 1
    assert f"no Kafka answers at {NOBODY}" in message


def test_an_invalid_address_is_named(command):
    code, message = command("topics", "create", bootstrap_servers="kafka:port", broker_timeout_seconds=0.5)
    assert code in (1, 2)
    assert "kafka:port" in message


def test_missing_topics_are_named_with_the_command_that_makes_them(command, model_file, broker):
    settings = settings_on(broker.address)
    variables = {"bootstrap_servers": broker.address, "beats_topic": settings.beats_topic}
    code, message = command("run", model=model_file, http_port=0, **variables)
    assert code == 1
    assert settings.beats_topic in message
    assert "ecg-monitor topics create" in message


def test_a_port_in_use_is_named(command, model_file):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, message = command("run", model=model_file, http_port=taken.getsockname()[1])
    assert code == 2
    assert "MONITOR_HTTP_PORT" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("words.csv", b"these are not beats\n"),
        ("short.tsv", b"1\t2\t3\n"),
        ("binary.npy", b"\x93NUMPY\x01\x00 junk"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ],
)
def test_publish_names_a_file_without_beats(command, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    code, message = command("publish", name, bootstrap_servers=NOBODY)
    assert code == 2
    assert name in message


def test_publish_names_a_missing_file(command):
    code, message = command("publish", "nowhere.csv")
    assert code == 2
    assert "nowhere.csv" in message


@pytest.mark.parametrize(
    "arguments", [["publish"], ["nothing"], ["publish", "x", "--start", "yesterday"], ["run", "x"]]
)
def test_wrong_usage_is_exit_2(command, arguments):
    assert command(*arguments)[0] == 2


def test_check_reports_every_fault_and_hides_the_password(command, capsys):
    code, _ = command("check", bootstrap_servers=NOBODY, broker_timeout_seconds=0.5, **LOGIN, sasl_password="s3cret")
    assert code == 2
    assert "s3cret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "variables", "expected"),
    [
        ("", {}, "--url or MONITOR_FORWARD_URL is not set"),
        ("alertmanager:9093", {}, "this is no address: it looks like http://alertmanager:9093"),
        ("https://x", {"forward_cafile": "nowhere"}, "MONITOR_FORWARD_CAFILE=nowhere: cannot be read"),
        ("https://x", {"forward_token_file": "nowhere"}, "MONITOR_FORWARD_TOKEN_FILE=nowhere: cannot be read"),
        ("https://x", {"forward_dead_letters": "no/where"}, "MONITOR_FORWARD_DEAD_LETTERS=no/where: cannot be written"),
        ("https://x", {"forward_resend_seconds": 0}, "MONITOR_FORWARD_RESEND_SECONDS: input should be"),
    ],
)
def test_forward_names_what_it_cannot_use(command, url, variables, expected):
    code, message = command("forward", "--to", "alertmanager", "--url", url, bootstrap_servers=NOBODY, **variables)
    assert code == 2
    assert expected in message


def test_forward_names_a_port_in_use(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, message = command("forward", "--to", "webhook", "--url", "http://localhost", forward_http_port=port)
    assert code == 2
    assert "MONITOR_FORWARD_HTTP_PORT" in message


def test_forward_names_a_broker_that_does_not_answer(command):
    words = ("forward", "--to", "webhook", "--url", "http://localhost")
    variables = {"bootstrap_servers": NOBODY, "broker_timeout_seconds": 0.5, "forward_http_port": 0}
    code, message = command(*words, **variables)
    assert code == 1
    assert f"no Kafka answers at {NOBODY}" in message
