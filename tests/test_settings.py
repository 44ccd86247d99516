"""The settings, and the table of them in docs/settings.md."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import settings
from monitor.errors import RefusedError
from monitor.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_the_table_in_the_page_is_the_settings():
    """Regenerate it with `python -m tests.test_settings`."""
    assert table() in PAGE.read_text(encoding="utf-8")


def table() -> str:
    rows = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default is None else field.default
        default = "" if isinstance(default, pydantic.SecretStr) else default
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`" if default != "" else ""
        rows.append(f"| `MONITOR_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_settings_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError):
        Settings().batch_size = 1


LOGIN = {"security_protocol": "SASL_SSL", "sasl_username": "monitor"}


def test_secrets_are_masked_wherever_settings_are_shown():
    secret = Settings(**LOGIN, sasl_password="s3cret")
    assert "s3cret" not in repr(secret)
    assert "s3cret" not in str(secret.shown())
    assert "s3cret" not in str(secret.model_dump())
    assert secret.password() == "s3cret"


def test_a_password_in_a_file_loses_its_newline(tmp_path):
    (tmp_path / "password").write_text("from-file\n")
    assert Settings(**LOGIN, sasl_password_file=tmp_path / "password").password() == "from-file"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no password in it"), (b" \n", "no password in it"), (b"s3cret\xff", "not UTF-8 text")],
)
def test_a_file_without_a_password_is_named_and_not_quoted(tmp_path, content, message):
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(RefusedError, match=message) as caught:
        Settings(**LOGIN, sasl_password_file=tmp_path / "password").password()
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_password_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(RefusedError, match=r"MONITOR_SASL_PASSWORD_FILE=.*: Is a directory"):
        Settings(**LOGIN, sasl_password_file=tmp_path).password()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"SASL_USERNAME": "u"}, "MONITOR_SASL_USERNAME is set, and MONITOR_SECURITY_PROTOCOL=PLAINTEXT uses no login"),
        ({"SASL_PASSWORD": "s3cret", "SECURITY_PROTOCOL": "SSL"}, "MONITOR_SASL_PASSWORD is set, and"),
        ({"SASL_PASSWORD_FILE": "f"}, "MONITOR_SASL_PASSWORD_FILE is set, and"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "s3cret"}, "MONITOR_SASL_USERNAME is not set"),
        (
            {
                "SECURITY_PROTOCOL": "SASL_SSL",
                "SASL_MECHANISM": "OAUTHBEARER",
                "SASL_USERNAME": "u",
                "SASL_PASSWORD": "s3cret",
            },
            "MONITOR_SASL_MECHANISM=OAUTHBEARER and MONITOR_SASL_TOKEN_URL go together",
        ),
        ({"SASL_TOKEN_URL": "https://id/token"}, "MONITOR_SASL_TOKEN_URL go together"),
        ({"SASL_SCOPE": "kafka"}, "MONITOR_SASL_SCOPE is set, and only OAUTHBEARER uses it"),
        (
            {
                "SECURITY_PROTOCOL": "SASL_SSL",
                "SASL_MECHANISM": "OAUTHBEARER",
                "SASL_USERNAME": "u",
                "SASL_PASSWORD": "s3cret",
                "SASL_TOKEN_URL": "https://id/token",
                "KAFKA_CLIENT": "kafka-python",
            },
            "needs MONITOR_KAFKA_CLIENT=confluent",
        ),
        ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "u"}, "MONITOR_SASL_PASSWORD is not set"),
        ({"SASL_PASSWORD": "s3cret", "SASL_PASSWORD_FILE": "f"}, "are both set"),
        ({"SSL_CAFILE": "ca"}, "MONITOR_SSL_CAFILE is set, and MONITOR_SECURITY_PROTOCOL=PLAINTEXT uses no TLS"),
        (
            {"SSL_CERTFILE": "c", "SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
            | {"SASL_USERNAME": "u", "SASL_PASSWORD": "s3cret"},
            "no TLS",
        ),
        ({"SSL_KEYFILE": "k", "SECURITY_PROTOCOL": "SSL"}, "without MONITOR_SSL_CERTFILE"),
        ({"SECURITY_PROTOCOL": "ssl"}, "MONITOR_SECURITY_PROTOCOL: input should be 'PLAINTEXT', 'SSL'"),
    ],
)
def test_security_settings_that_contradict_each_other_are_refused_in_a_sentence(monkeypatch, tmp_path, given, message):
    monkeypatch.chdir(tmp_path)
    for name, value in given.items():
        monkeypatch.setenv(f"MONITOR_{name}", value)
    with pytest.raises(RefusedError) as caught:
        settings.read()
    assert message in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_empty_variable_is_no_file(monkeypatch):
    monkeypatch.setenv("MONITOR_SSL_CAFILE", "")
    assert Settings().ssl_cafile is None


def test_the_state_topic_is_named_after_the_group():
    assert Settings(group_id="ward-3").state_topic_name == "ward-3.state"
    assert Settings(state_topic="other").state_topic_name == "other"


def test_the_profiles_topic_is_named_after_the_group():
    assert Settings(group_id="ward-3").profiles_topic_name == "ward-3.profiles"
    assert Settings(profiles_topic="other").profiles_topic_name == "other"


def test_every_setting_has_a_description():
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_wins_over_the_dotenv_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MONITOR_GROUP_ID=file\nMONITOR_BATCH_SIZE=7\n")
    monkeypatch.setenv("MONITOR_GROUP_ID", "environment")
    found = settings.read()
    assert (found.group_id, found.batch_size) == ("environment", 7)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BOOTSTRAP_SERVERS", "kafka:99999", "'kafka:99999' is not HOST:PORT"),
        ("BOOTSTRAP_SERVERS", "kafka:0", "'kafka:0' is not"),
        ("BOOTSTRAP_SERVERS", "kafka:port", "'kafka:port' is not"),
        ("BOOTSTRAP_SERVERS", "one:1,,two:2", "'' is not"),
        ("BOOTSTRAP_SERVERS", "http://kafka:9092/x", "is not HOST:PORT"),
        ("BEATS_TOPIC", "ecg beats", "MONITOR_BEATS_TOPIC: 'ecg beats' cannot be the name of a topic"),
        ("ALERTS_TOPIC", "..", "MONITOR_ALERTS_TOPIC: '..' cannot be"),
        ("SCORES_TOPIC", "x" * 250, "MONITOR_SCORES_TOPIC"),
        ("GROUP_ID", "my group", "MONITOR_STATE_TOPIC: 'my group.state' cannot be"),
        ("DEAD_LETTERS_TOPIC", "ecg.beats", "MONITOR_BEATS_TOPIC and MONITOR_DEAD_LETTERS_TOPIC are both ecg.beats"),
        ("STATE_TOPIC", "ecg.control", "MONITOR_CONTROL_TOPIC and MONITOR_STATE_TOPIC are both ecg.control"),
        ("ALERTS_TOPIC", "ecg.dead-letters.replayed", "MONITOR_ALERTS_TOPIC is ecg.dead-letters.replayed"),
    ],
)
def test_an_address_or_a_topic_that_cannot_be_is_refused(monkeypatch, tmp_path, name, value, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"MONITOR_{name}", value)
    with pytest.raises(RefusedError) as caught:
        settings.read()
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("servers", ["kafka", "kafka:9092", "a:1, b:65535", "[::1]:9092", "SSL://kafka:9093"])
def test_addresses_may_have_these_forms(servers):
    assert Settings(bootstrap_servers=servers).bootstrap_servers == servers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("MONITOR_GROUP_ID=a\n".encode("utf-16"), ".env, line 1: this is not UTF-8 (UTF-16?)"),
        ("MONITOR_GROUP_ID=a\n".encode("utf-16-le"), ".env, line 1: this is not UTF-8 (UTF-16?)"),
        ("# für alle\nA=1\n".encode("latin-1"), ".env, line 1: this is not UTF-8 (Latin-1?)"),
        (
            b"A=1\nB='x\ny'\nMONITOR_BOOTSTRAP_SERVERS: kafka:9092\n",
            ".env, line 4: this is no setting: write MONITOR_B",
        ),
        (b"A=1\n\nmonitor_group_id s3cret\n", ".env, line 3: this is no setting: write MONITOR_GROUP_ID=value"),
        (b"- MONITOR_GROUP_ID=a\n", ".env, line 1: this is no setting: write MONITOR_GROUP_ID=value"),
        (b"A\n", ".env, line 1: this is no setting: write NAME=value"),
        (b"A=1\nB='never closed\nC=2\n", ".env, line 2: the quote is not closed"),
        (b"A=" + b"x" * 2_000_000, ".env has more than 1048576 bytes"),
    ],
)
def test_a_dotenv_file_that_is_not_understood_is_refused_with_its_line(monkeypatch, tmp_path, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        settings.read()
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_folder_called_dotenv_is_refused(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").mkdir()
    with pytest.raises(RefusedError, match=r"\.env is no file"):
        settings.read()


def test_a_dotenv_file_may_have_a_mark_comments_and_values_of_other_programs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines = "\ufeffMONITOR_GROUP_ID=file\r\n# x\r\n\r\nexport KEY='a\nb'\nMONITOR_BATCH_SIZE = 7 # beats\n"
    (tmp_path / ".env").write_bytes(lines.encode())
    assert (settings.read().group_id, settings.read().batch_size) == ("file", 7)


ODD = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="$"), min_size=1, max_size=20)


@given(ODD, ODD, st.booleans(), st.none() | st.floats(0.1, 9))
def test_the_lines_that_check_prints_can_be_used_as_the_dotenv_file(name, path, scores, threshold):
    shown = Settings(instance=name, model=path, scores=scores, threshold=threshold, group_id="g")
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.chdir(folder)
        Path(".env").write_text("\n".join(shown.env_lines()), encoding="utf-8")
        assert settings.read().shown() == shown.shown()


NAME = st.text("Gxy.:%-", min_size=1, max_size=4)


@given(NAME, NAME, NAME, NAME)
def test_no_two_pairs_of_group_and_instance_have_the_same_transactional_id(group, instance, other_group, other):
    one = Settings(group_id=group, instance=instance, state_topic="s", profiles_topic="p")
    two = Settings(group_id=other_group, instance=other, state_topic="s", profiles_topic="p")
    same = (group, instance) == (other_group, other)
    assert (one.transactional_id == two.transactional_id) == same


def test_the_lines_that_check_prints_have_no_secret():
    login = {"security_protocol": "SASL_SSL", "sasl_username": "u", "sasl_password": "s3cret"}
    (line,) = [line for line in Settings(**login).env_lines() if "SASL_PASSWORD=" in line]
    assert line == "# MONITOR_SASL_PASSWORD=**********"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(r"\| variable \|.*?\n(?!\|)", table() + "\n", text, flags=re.DOTALL), encoding="utf-8")
