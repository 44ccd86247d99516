"""What the documents name exists: links, pictures, commands, settings, paths; and their lines can be read."""

from __future__ import annotations

import re
import shlex
from itertools import chain
from pathlib import Path

import click
import pytest

from monitor import cli as monitor_cli
from monitor.settings import PREFIX, Settings
from trainer import cli as trainer_cli

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")])
NOW = [page for page in PAGES if page.name != "CHANGELOG.md" and not {"history", "experiments.md"} & set(page.parts)]
LINE_LENGTH = 120
PROGRAMS = {"ecg-monitor": monitor_cli.commands, "ecg-trainer": trainer_cli.commands}
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
ROOTS = r"(?:monitor|trainer|tests|bench|deploy|docs|\.ci)"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
each_page_of_today = pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(REPOSITORY)))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def code(page: Path) -> list[str]:
    """Every piece of code: in a line, indented, or in a fence; a line that ends with a backslash goes on."""
    text = page.read_text(encoding="utf-8")
    fenced = "\n".join(re.findall(r"^ *```(?:sh|bash)?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL))
    indented = "\n".join(re.findall(r"^    (.+)$", text, re.MULTILINE))
    lines = f"{fenced}\n{indented}".replace("\\\n", " ").splitlines()
    return [*(line.strip() for line in lines), *re.findall(r"`([^`\n]+)`", prose(page))]


def can_be_broken(line: str) -> bool:
    """Whether a line break would be possible: not in a table's row, nor in a line of one link, picture or code."""
    rest = re.sub(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)|https?://\S+", "x", line.strip())
    return not line.startswith("|") and " " in re.sub(r"^([-*]|\d+\.) ", "", rest)


@each_page
def test_lines_have_at_most_120_characters_where_they_can_be_broken(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > LINE_LENGTH and can_be_broken(line)] == []


def anchors(page: Path) -> set[str]:
    """What a link can lead to within a page, as GitHub names it."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_every_link_and_every_picture_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@each_page_of_today
def test_every_target_of_make_that_is_named_exists(page: Path) -> None:
    asked = [re.match(r"make ([a-z][a-z-]*)", piece) for piece in code(page)]
    assert {found[1] for found in asked if found} <= TARGETS


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Every call of our programs: the program and its words, up to a comment, a pipe or a further command."""
    pieces = chain.from_iterable(re.split(r"&&|\|\||[|;]|&$| &(?= )", piece) for piece in code(page))
    found = [re.match(r"\s*(ecg-monitor|ecg-trainer) (.+)", piece) for piece in pieces]
    return [(call[1], shlex.split(call[2], comments=True)) for call in found if call]


def innermost(program: str, words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words lead to, and the words behind its name."""
    command: click.Command = PROGRAMS[program]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@each_page_of_today
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    for program, words in commands(page):
        command, rest = innermost(program, words)
        assert not isinstance(command, click.Group) or not rest or rest[0].startswith(("-", "…")), (program, words)
        known = {name for option in command.params for name in option.opts} | {"--help", "-h", "--version"}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, (program, words)


@each_page_of_today
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"\bMONITOR_[A-Z_]*[A-Z]\b(?!_?\*)", page.read_text(encoding="utf-8")))
    assert named <= known


@each_page_of_today
def test_every_path_that_is_named_exists(page: Path) -> None:
    for piece in re.findall(r"`([^`\s]+)`", prose(page)):
        if re.fullmatch(rf"{ROOTS}/[\w./*-]+", piece):
            assert list(REPOSITORY.glob(piece.rstrip("/"))), piece


@each_page_of_today
def test_every_module_that_is_run_exists(page: Path) -> None:
    for piece in code(page):
        for module in re.findall(rf"python -m ({ROOTS}[\w.]*)", piece):
            path = REPOSITORY.joinpath(*module.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 90
