"""The command line knows the commands and options that the compose file uses."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from monitor import cli as monitor_cli
from tests.deploy.files import lineage, services
from trainer import cli as trainer_cli

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = services()
IMAGE_COMMAND = next(found.rest for found in lineage("monitor") if found.word == "CMD")


def parse(command: click.Command, words: list[str]) -> click.Context:
    """The context of the innermost command; a usage error for what it does not know."""
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(command.name, list(words))


def script() -> str:
    """The script for the trainer's shell."""
    (text,) = SERVICES["trainer"]["command"]
    return str(text)


def trainer_calls() -> list[list[str]]:
    return [shlex.split(line.rpartition("|| ")[2]) for line in script().splitlines()]


def words_of(name: str) -> list[str]:
    """The arguments of a service for `ecg-monitor`, with or without a shell."""
    given = SERVICES[name].get("command") or json.loads(IMAGE_COMMAND)
    return shlex.split(given[0].removeprefix("exec ecg-monitor")) if "entrypoint" in SERVICES[name] else list(given)


@pytest.mark.parametrize("name", ["topics-init", "monitor", "forwarder", "publisher"])
def test_the_monitors_command_line_knows_the_command(name: str) -> None:
    parse(monitor_cli.commands, words_of(name))


def test_the_demo_publishes_without_end_from_fifty_sources() -> None:
    given = parse(monitor_cli.commands, words_of("publisher")).params
    assert (given["sources"], given["rate"], given["loop"]) == (50, 500, True)


def test_a_signal_reaches_the_publisher_past_its_shell() -> None:
    assert SERVICES["publisher"]["command"][0].startswith("exec ")


@pytest.mark.parametrize("call", trainer_calls(), ids=lambda call: call[1])
def test_the_trainers_command_line_knows_the_command(call: list[str], tmp_path: Path) -> None:
    # paths that exist, for options which insist on it
    parse(trainer_cli.commands, [str(tmp_path) if word == "/data" else word for word in call[1:]])


def run_script(folder: Path) -> str:
    """The calls of `ecg-trainer` that the script makes on a folder in place of the container's root."""
    for part in ("bin", "data", "models"):
        (folder / part).mkdir(exist_ok=True)
    calls = folder / "calls"
    calls.write_text("", encoding="utf-8")
    command = folder / "bin" / "ecg-trainer"
    command.write_text(
        f'#!/bin/sh\necho "$1" >> {calls}\n[ "$1" != fetch ] || [ ! -e {folder}/offline ]\n', encoding="utf-8"
    )
    command.chmod(0o755)
    text = script().replace("/data", f"{folder}/data").replace("/models", f"{folder}/models")
    shell = [*SERVICES["trainer"]["entrypoint"], text]
    done = subprocess.run(shell, env={"PATH": f"{folder}/bin:{os.environ['PATH']}"}, check=False)
    return f"{calls.read_text(encoding='utf-8')}{done.returncode}"


def test_the_trainer_fetches_and_trains_if_there_is_no_model(tmp_path: Path) -> None:
    assert run_script(tmp_path).split() == ["fetch", "ecg", "0"]


def test_the_trainer_keeps_an_existing_model(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ecg.safetensors").write_text("a model", encoding="utf-8")
    assert run_script(tmp_path).split() == ["fetch", "0"]


def test_the_trainer_fails_if_nothing_can_be_fetched(tmp_path: Path) -> None:
    (tmp_path / "offline").touch()
    assert run_script(tmp_path).split() == ["fetch", "1"]
