"""The settings, and that the README tells of each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pydantic
import pytest

from monitor import settings
from monitor.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def test_the_table_in_the_readme_is_the_settings():
    """Regenerate it with `python -m tests.unit.test_settings`."""
    assert table() in README.read_text(encoding="utf-8")


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


def test_secrets_are_masked_wherever_settings_are_shown():
    secret = Settings(sasl_password="s3cret")
    assert "s3cret" not in repr(secret)
    assert "s3cret" not in str(secret.shown())
    assert secret.password() == "s3cret"


def test_a_password_in_a_file_wins_and_loses_its_newline(tmp_path):
    (tmp_path / "password").write_text("from-file\n")
    assert Settings(sasl_password="other", sasl_password_file=tmp_path / "password").password() == "from-file"


def test_the_state_topic_is_named_after_the_group():
    assert Settings(group_id="ward-3").state_topic_name == "ward-3.state"
    assert Settings(state_topic="other").state_topic_name == "other"


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_wins_over_the_dotenv_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MONITOR_GROUP_ID=file\nMONITOR_BATCH_SIZE=7\n")
    monkeypatch.setenv("MONITOR_GROUP_ID", "environment")
    found = settings.read()
    assert (found.group_id, found.batch_size) == ("environment", 7)


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(re.sub(r"\| variable \|.*?\n(?!\|)", table() + "\n", text, flags=re.DOTALL), encoding="utf-8")
