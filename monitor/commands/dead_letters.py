"""The commands `dead-letters list` and `dead-letters replay`."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from monitor import broker, settings
from monitor.beats.parse import REASONS
from monitor.commands import milliseconds_of, show
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
from monitor.records.record import Message
from monitor.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.settings import Settings

CHUNK_LETTERS = 500
CHUNK_BYTES = 4 * 1024 * 1024
MAX_SENTENCES = 10  # about letters that stay for the same reason
REPLAYED_NOW = "replayed-now"
REPLAYED_BEFORE = "replayed-before"
FAILED = "failed"
FOREIGN = "foreign"
OUTCOMES = {  # what the summary calls each outcome, in its order; `why_not_replayed` gives the words without a constant
    FAILED: "refused by the broker",
    "incomplete": "incomplete",
    "other-topic": "from another topic",
    "past-limit": "past the limit of rounds",
    "too-old": "too old to be judged",
    REPLAYED_BEFORE: "put back before",
    FOREIGN: "not written by a monitor",
}

Due = tuple[Letter, broker.ReturnedRecord]  # a letter that is to be replayed, and the record that it becomes

only_reason = click.option(
    "--reason",
    type=click.Choice(REASONS),
    metavar="REASON",
    help="Only letters with this reason, for example not-json; `list` prints the reasons at its end.",
)


@click.group()
def dead_letters() -> None:
    """List and replay records that were refused.

    The monitor writes each record that is not a beat to the dead letters topic, with the reason for it.
    """


@dead_letters.command(name="list")
@only_reason
@click.option(
    "--since",
    "since_ms",
    metavar="TIME",
    callback=lambda *given: None if given[2] is None else milliseconds_of(given[2]),
    help="Only letters written at this time or later, for example 2026-11-24T10:00:00Z.",
)
@click.option("--key", metavar="TEXT", help="Only letters of records with this key: one source.")
@click.option("--limit", type=click.IntRange(1), help="Print only the last so many of them; the counts are of all.")
@click.option("--json", "wants_json", is_flag=True, help="Print JSON objects; the counts go to standard error.")
def list_command(
    *, reason: str | None, since_ms: int | None, key: str | None, limit: int | None, wants_json: bool
) -> None:
    """List the dead letters, with counts for each reason.

    Ends with the last letter that is on the topic now, and does not wait for new ones.
    """
    config = settings.read()
    replayed = _replayed(config)
    line_of = as_json if wants_json else as_line
    wanted = LetterFilter(reason, since_ms, None if key is None else key.encode())
    counts: Counter[str] = Counter()
    replayed_counts: Counter[str] = Counter()
    last: deque[str] = deque(maxlen=limit)  # with a limit the lines are printed at the end
    for letter in filter(wanted.takes, _letters(config)):
        is_replayed = letter.position in replayed
        counts[word_of(letter)] += 1
        replayed_counts[word_of(letter)] += is_replayed
        line = line_of(letter, is_replayed=is_replayed)
        if limit is None:
            show(line)
        else:
            last.append(line)
    for line in last:
        show(line)
    for word, count in sorted(counts.items()):
        show(f"{printable(word)}: {count}, {replayed_counts[word]} of them put back", err=wants_json)
    total, replayed_total = counts.total(), replayed_counts.total()
    show(f"{config.dead_letters_topic}: {total}, {replayed_total} of them put back", err=wants_json)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are listed: those with this reason, from this time on, with this key; None means all."""

    reason: str | None = None
    since_ms: int | None = None
    key: bytes | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is listed."""
        return (
            self.reason in (None, word_of(letter))
            and (self.since_ms is None or letter.time >= self.since_ms)
            and self.key in (None, letter.key)
        )


def word_of(letter: Letter) -> str:
    """The word that a letter is counted by: its reason, or that no monitor wrote it."""
    return letter.refusal.reason if letter.refusal else f"({OUTCOMES[FOREIGN]})"


def _letters(config: Settings) -> Iterator[Letter]:
    with broker.Reader(config, config.dead_letters_topic, from_beginning=True) as reader:
        yield from map(read, reader.until_end())


def _replayed(config: Settings) -> ReplayLedger:
    """The ledger of the letters that were replayed."""
    topic = broker.describe_letters(config)
    ledger = ReplayLedger(topic.topic_id)
    if topic.has_ledger:
        _read_ledger(config, ledger)
    return ledger


def _read_ledger(config: Settings, ledger: ReplayLedger) -> list[Message]:
    """Add the entries of the ledger's topic to `ledger`.

    Returns the messages that delete the entries whose letters Kafka no longer has.
    """
    name = broker.ledger_topic(config)
    obsolete: dict[bytes, Message] = {}
    with broker.Reader(config, config.dead_letters_topic, from_beginning=True) as reader:
        beginnings = reader.beginnings()
    with broker.Reader(config, name, from_beginning=True) as reader:
        for record in reader.until_end():
            key = record.key or b""  # Kafka takes no null key into a compacted topic
            obsolete.pop(key, None)
            last = {} if record.value is None else ledger.add(record.value)
            if last is None:
                show(f"warning: {name} offset {record.offset} is not an entry of a replay: ignored", err=True)
            elif record.value is not None and is_obsolete(last, beginnings):
                obsolete[key] = Message(name, key, None)
    return list(obsolete.values())


@dead_letters.command(name="replay")
@only_reason
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option(
    "--max-rounds",
    type=click.IntRange(1, 1000),
    default=MAX_ROUNDS,
    show_default=True,
    help="Skip a letter whose record was put back and refused again this many times.",
)
def replay_command(*, reason: str | None, dry_run: bool, max_rounds: int) -> None:
    """Put dead letters back onto the beats topic.

    Fix the cause first: a record that is still not a beat becomes a dead letter again. Each letter is put back once,
    even if the command is run again or was interrupted. The command stops at the last letter that the topic held when
    it began. Letters that are too old, incomplete or of another topic stay, and are counted.
    """
    config = settings.read()
    counts = ReplayCounts(reason, ReplayRules(config.beats_topic, max_rounds, _oldest_ms(config)))
    try:
        (_dry_run if dry_run else _replay)(config, counts)
    except KeyboardInterrupt:
        show("interrupted" if dry_run else "interrupted: run it again, it continues where it stopped", err=True)
        sys.exit(1)
    finally:
        show(counts.summary("that would be put back" if dry_run else "put back"))
    sys.exit(1 if counts.counts[FAILED] else 0)


def _oldest_ms(config: Settings) -> int:
    """The timestamp before which a record would be deleted by Kafka or skipped by the monitor."""
    now = time.time()
    kept_ms = broker.retention_ms(config, config.beats_topic)
    kept_seconds = now if kept_ms is None else kept_ms / 1000
    return int(1000 * (now - min(kept_seconds, config.max_age_seconds or now)))


def _dry_run(config: Settings, counts: ReplayCounts) -> None:
    for _ in counts.due(_letters(config), _replayed(config)):
        counts.counts[REPLAYED_NOW] += 1


def _replay(config: Settings, counts: ReplayCounts) -> None:
    topic = broker.describe_letters(config)
    ledger = ReplayLedger(topic.topic_id)
    if not topic.has_ledger:
        broker.make_ledger_topic(config, topic)
    with closing(broker.Replayer(config)) as replayer:
        # The ledger is read after the replayer has started: from then on no other replay can add entries.
        obsolete = _read_ledger(config, ledger)
        for chunk in _chunks(counts.due(_letters(config), ledger)):
            _replay_chunk(config, replayer, chunk, ledger, counts)
        if obsolete:
            replayer.deliver((), obsolete)


def _replay_chunk(
    config: Settings, replayer: broker.Replayer, due: list[Due], ledger: ReplayLedger, counts: ReplayCounts
) -> None:
    """Replay letters in one transaction. If the broker refuses it, replay each half, down to single letters."""
    key, value = ledger.entry([letter.position for letter, _ in due])
    entry = Message(broker.ledger_topic(config), key, value)
    refusal = replayer.deliver([returned for _, returned in due], [entry])
    if refusal is None:
        counts.counts[REPLAYED_NOW] += len(due)
        return
    _read_ledger(config, ledger)  # another replay may have run before this one had a producer again
    if len(due) == 1:
        counts.leave(due[0][0], FAILED, f"is refused by the broker: {refusal}")
        return
    middle = len(due) // 2
    for half in (due[:middle], due[middle:]):
        left = [(letter, returned) for letter, returned in half if letter.position not in ledger]
        counts.counts[REPLAYED_BEFORE] += len(half) - len(left)
        if left:
            _replay_chunk(config, replayer, left, ledger, counts)


def _chunks(due: Iterable[Due]) -> Iterator[list[Due]]:
    """The letters in groups of one transaction each, of CHUNK_LETTERS letters or about CHUNK_BYTES bytes."""
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


class ReplayCounts:
    """Decides which letters are replayed, counts the outcomes, and prints why a letter stays."""

    def __init__(self, reason: str | None, rules: ReplayRules) -> None:
        """Only letters with this reason are looked at; None means all."""
        self._reason = reason
        self._rules = rules
        self.counts: Counter[str] = Counter()  # by outcome

    def due(self, letters: Iterable[Letter], ledger: ReplayLedger) -> Iterator[Due]:
        """The letters to replay, each with the record that it becomes. All others are counted."""
        for letter in letters:
            refusal = letter.refusal
            if refusal is None:
                self.counts[FOREIGN] += 1
            elif self._reason not in (None, refusal.reason):
                continue
            elif letter.position in ledger:
                self.counts[REPLAYED_BEFORE] += 1
            elif why := why_not_replayed(letter, refusal, self._rules):
                self.leave(letter, *why)
            else:
                yield letter, broker.ReturnedRecord(replay_message(letter, refusal), letter.time)

    def leave(self, letter: Letter, outcome: str, sentence: str) -> None:
        """Count a letter that stays; print the sentence about it for the first MAX_SENTENCES of an outcome."""
        self.counts[outcome] += 1
        if self.counts[outcome] <= MAX_SENTENCES:
            show(f"not put back: {letter_name(letter)} {sentence}", err=True)
        elif self.counts[outcome] == MAX_SENTENCES + 1:
            show(
                f"not put back: more that are {OUTCOMES[outcome]}; `ecg-monitor dead-letters list` shows all", err=True
            )

    def summary(self, verb: str) -> str:
        rest = [f"{text}: {self.counts[outcome]}" for outcome, text in OUTCOMES.items() if self.counts[outcome]]
        return "; ".join([f"dead letters {verb} onto {self._rules.topic}: {self.counts[REPLAYED_NOW]}", *rest])
