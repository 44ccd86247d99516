"""What `ecg-monitor --help` shows: one file for each command, whole sentences, and a shell completion."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from monitor import cli
from monitor import commands as package
from monitor.terminal import count_of
from trainer import cli as trainer_cli

PROGRAMS = {"ecg-monitor": cli.commands, "ecg-trainer": trainer_cli.commands}


def all_commands(group: click.Group) -> list[click.Command]:
    found: list[click.Command] = []
    for command in group.commands.values():
        found += [command, *(all_commands(command) if isinstance(command, click.Group) else ())]
    return found


def lines_of(group: click.Group) -> list[tuple[str, ...]]:
    """The words of every command below a group, the group's own empty line first."""
    inner = {name: lines_of(one) if isinstance(one, click.Group) else [()] for name, one in group.commands.items()}
    return [(), *((name, *rest) for name, lines in inner.items() for rest in lines)]


def test_the_folder_of_the_commands_reads_like_the_help():
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in cli.commands.commands} == files


@pytest.mark.parametrize("command", all_commands(cli.commands), ids=lambda command: command.name)
def test_a_command_is_described_in_a_line_that_is_not_cut_off(command):
    assert not command.get_short_help_str(60).endswith("...")
    assert command.help.split("\n\n")[0].endswith(".")
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize(("name", "words"), [(name, words) for name in PROGRAMS for words in lines_of(PROGRAMS[name])])
def test_every_command_has_help(name, words):
    done = CliRunner().invoke(PROGRAMS[name], [*words, "--help"], prog_name=name)
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: {' '.join((name, *words))} [OPTIONS]")
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_version_is_the_packages(name):
    printed = CliRunner().invoke(PROGRAMS[name], ["--version"]).output
    assert printed == f"{name}, version {version('ecg-monitor')}\n"


@pytest.mark.parametrize(("name", "start", "found"), [("ecg-monitor", "sc", "score"), ("ecg-trainer", "fe", "fetch")])
def test_a_shell_can_complete_a_command(name, start, found):
    module = name.removeprefix("ecg-")
    variables = {"COMP_WORDS": f"{name} {start}", "COMP_CWORD": "1", f"_ECG_{module.upper()}_COMPLETE": "bash_complete"}
    code = f"import sys; sys.argv = ['{name}']; from {module}.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"plain,{found}\n"


def test_a_number_has_its_noun_in_the_right_form():
    assert [count_of(number, "beat") for number in (0, 1, 2271)] == ["0 beats", "1 beat", "2,271 beats"]
    assert [count_of(2, noun) for noun in ("entry", "person")] == ["2 entries", "2 people"]
