"""The commands `dead-letters list` and `dead-letters replay`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import click

from monitor import broker, settings
from monitor.beats.parse import REASONS
from monitor.deadletters.letter import (
    MAX_ROUNDS,
    Letter,
    ReplayRules,
    as_json,
    as_line,
    letter_name,
    read,
    replay_message,
    why_not_replayed,
)
from monitor.deadletters.replay_ledger import ReplayLedger, is_obsolete
from monitor.log import printable
from monitor.records.record import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.settings import Settings

CHUNK_LETTERS = 500
CHUNK_BYTES = 4 * 1024 * 1024
SHOWN = 10  # sentences of one kind
BACK = "back"
REPLAYED = "replayed"
FAILED = "failed"
FOREIGN = "foreign"
SAID = {  # in the summary, in this order
    FAILED: "refused by the broker",
    "incomplete": "incomplete",
    "other-topic": "from another topic",
    "past-limit": "past the limit of rounds",
    "too-old": "too old to be judged",
    REPLAYED: "put back before",
    FOREIGN: "not written by a monitor",
}

Due = tuple[Letter, broker.ReturnedRecord]

only_reason = click.option("--reason", type=click.Choice(REASONS), metavar="R", help="Only those refused for R.")


@click.group()
def dead_letters() -> None:
    """Records that were refused: look at them, put them back."""


@dead_letters.command(name="list")
@only_reason
@click.option("--json", "wants_json", is_flag=True, help="One line of JSON a letter; the counts go to standard error.")
def list_command(*, reason: str | None, wants_json: bool) -> None:
    """Show the dead letters that there are now, with a count for each reason at the end."""
    wanted = settings.read()
    replayed = _replayed(wanted)
    show = as_json if wants_json else as_line
    seen: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for letter in _letters(wanted):
        word = letter.refusal.reason if letter.refusal else f"({SAID[FOREIGN]})"
        if reason in (None, word):
            is_done = letter.position in replayed
            seen[word] += 1
            done[word] += is_done
            click.echo(show(letter, is_replayed=is_done))
    for word, count in sorted(seen.items()):
        click.echo(f"{printable(word)}: {count}, {done[word]} of them put back", err=wants_json)
    click.echo(f"{wanted.dead_letters_topic}: {seen.total()}, {done.total()} of them put back", err=wants_json)


def _letters(wanted: Settings) -> Iterator[Letter]:
    with broker.Reader(wanted, wanted.dead_letters_topic, from_beginning=True) as reader:
        yield from map(read, reader.until_end())


def _replayed(wanted: Settings) -> ReplayLedger:
    topic = broker.describe_letters(wanted)
    replayed = ReplayLedger(topic.topic_id)
    if topic.has_notes:
        _read_notes(wanted, replayed)
    return replayed


def _read_notes(wanted: Settings, replayed: ReplayLedger) -> list[Message]:
    """Learn what went back already; gives what takes away the notes about letters that are gone."""
    name = broker.notes_topic(wanted)
    obsolete: dict[bytes, Message] = {}
    with broker.Reader(wanted, wanted.dead_letters_topic, from_beginning=True) as reader:
        beginnings = reader.beginnings()
    with broker.Reader(wanted, name, from_beginning=True) as reader:
        for record in reader.until_end():
            obsolete.pop(record.key, None)
            last = {} if record.value is None else replayed.add(record.value)
            if last is None:
                click.echo(f"warning: {name} offset {record.offset} is no note of a replay: left out", err=True)
            elif record.value is not None and is_obsolete(last, beginnings):
                obsolete[record.key] = Message(name, record.key, None)
    return list(obsolete.values())


@dead_letters.command(name="replay")
@only_reason
@click.option("--dry-run", is_flag=True, help="Say what would be done and change nothing.")
@click.option(
    "--max-rounds",
    type=click.IntRange(1, 1000),
    default=MAX_ROUNDS,
    show_default=True,
    help="Leave those that came back this often.",
)
def replay_command(*, reason: str | None, dry_run: bool, max_rounds: int) -> None:
    """Put dead letters back onto the beats topic, each of them once.

    Only those that are there when it begins. After Ctrl-C or a crash, run it again: it goes on where it was.
    """
    wanted = settings.read()
    tally = _Tally(reason, ReplayRules(wanted.beats_topic, max_rounds, _oldest_ms(wanted)))
    try:
        (_try if dry_run else _replay)(wanted, tally)
    except KeyboardInterrupt:
        click.echo("interrupted: run it again, it goes on where it was", err=True)
        sys.exit(1)
    finally:
        click.echo(tally.summary("that would be put back" if dry_run else "put back"))
    sys.exit(1 if tally.counts[FAILED] else 0)


def _oldest_ms(wanted: Settings) -> int:
    now = time.time()
    kept_ms = broker.retention_ms(wanted, wanted.beats_topic)
    kept_seconds = now if kept_ms is None else kept_ms / 1000
    return int(1000 * (now - min(kept_seconds, wanted.max_age_seconds or now)))


def _try(wanted: Settings, tally: _Tally) -> None:
    for _ in tally.due(_letters(wanted), _replayed(wanted)):
        tally.counts[BACK] += 1


def _replay(wanted: Settings, tally: _Tally) -> None:
    topic = broker.describe_letters(wanted)
    replayed = ReplayLedger(topic.topic_id)
    if not topic.has_notes:
        broker.make_notes_topic(wanted, topic)
    with closing(broker.Replayer(wanted)) as replay:
        obsolete = _read_notes(wanted, replayed)  # not before: from now on no other replay can write any
        for chunk in _chunks(tally.due(_letters(wanted), replayed)):
            _put_back(wanted, replay, chunk, replayed, tally)
        if obsolete:
            replay.deliver((), obsolete)


def _put_back(wanted: Settings, replay: broker.Replayer, due: list[Due], replayed: ReplayLedger, tally: _Tally) -> None:
    """All of them, or halves until those are alone that the broker does not take."""
    key, value = replayed.entry([letter.position for letter, _ in due])
    note = Message(broker.notes_topic(wanted), key, value)
    complaint = replay.deliver([returned for _, returned in due], [note])
    if complaint is None:
        tally.counts[BACK] += len(due)
        return
    _read_notes(wanted, replayed)  # another replay may have come between
    if len(due) == 1:
        tally.leave(due[0][0], FAILED, f"is refused by the broker: {complaint}")
        return
    middle = len(due) // 2
    for half in (due[:middle], due[middle:]):
        left = [(letter, returned) for letter, returned in half if letter.position not in replayed]
        tally.counts[REPLAYED] += len(half) - len(left)
        if left:
            _put_back(wanted, replay, left, replayed, tally)


def _chunks(due: Iterable[Due]) -> Iterator[list[Due]]:
    """What goes into one transaction."""
    chunk: list[Due] = []
    size = 0
    for letter, returned in due:
        chunk.append((letter, returned))
        size += len(letter.value or b"")
        if len(chunk) >= CHUNK_LETTERS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class _Tally:
    """What became of the letters, and the sentences on those that stay."""

    def __init__(self, reason: str | None, rules: ReplayRules) -> None:
        self._reason = reason
        self._rules = rules
        self.counts: Counter[str] = Counter()

    def due(self, letters: Iterable[Letter], replayed: ReplayLedger) -> Iterator[Due]:
        """Those to put back, as they were."""
        for letter in letters:
            refusal = letter.refusal
            if refusal is None:
                self.counts[FOREIGN] += 1
            elif self._reason not in (None, refusal.reason):
                continue
            elif letter.position in replayed:
                self.counts[REPLAYED] += 1
            elif why := why_not_replayed(letter, refusal, self._rules):
                self.leave(letter, *why)
            else:
                yield letter, broker.ReturnedRecord(replay_message(letter, refusal), letter.time)

    def leave(self, letter: Letter, word: str, sentence: str) -> None:
        self.counts[word] += 1
        if self.counts[word] <= SHOWN:
            click.echo(f"left: {letter_name(letter)} {sentence}", err=True)
        elif self.counts[word] == SHOWN + 1:
            click.echo(f"left: more that are {SAID[word]}; `ecg-monitor dead-letters list` shows all", err=True)

    def summary(self, done: str) -> str:
        rest = [f"{said}: {self.counts[word]}" for word, said in SAID.items() if self.counts[word]]
        return "; ".join([f"dead letters {done} onto {self._rules.topic}: {self.counts[BACK]}", *rest])
