"""`python -m bench.backtest --model FILE --data FOLDER`: how fast `ecg-monitor backtest --from --to` is, with reading.

Fills a topic of Apache Kafka with beats of WFDB records, with the noise before each beat, as `publish` sends them. Then
it runs the command itself over two periods: while the sources learn their profiles, and all of it. What is left of the
longer one without the shorter one is the settled part; the start of the process is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bench import machine
from bench.alarms import PACED, opened
from bench.case import Case, fresh_prefix
from bench.environment import kafka
from bench.run import ONE_THREAD, ROOT
from bench.topic_load import Load, make_topics, producer, send
from monitor.beats.beat import encode
from monitor.beats.noise_header import noise_headers
from monitor.errors import MonitorError
from monitor.recordings.player import Bed, play
from monitor.records.record import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.topic_load import SentBeat
    from monitor.records.record import Headers

CLIENTS = ("confluent", "kafka-python")
LEARNING_MS = 360_000  # from the first beats on; by then nearly all sources have a profile
DAY_MS = 86_400_000
BEAT_MS = 800  # between the end of a record and its beginning, and the most by which sources are apart
SEED = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """The beats of one record."""

    time_ms: NDArray[np.int64]  # (n,), from the first beat on
    values: list[bytes]
    headers: list[Headers]

    @classmethod
    def of(cls, path: Path) -> Stream:
        """The beats of the usual lead."""
        beats = list(play([Bed(path.stem, opened(path), 0)]))
        times = np.array([beat.time_ms for beat in beats], np.int64)
        values = [encode(beat.samples, "float32") for beat in beats]
        return cls(times - times[0], values, [noise_headers(beat.noise) for beat in beats])

    def repeated(self, first: int, end_ms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers and times of its beats from the `first` one on, over and over, until `end_ms`."""
        gaps = np.append(np.diff(self.time_ms), BEAT_MS)
        rows = (first + np.arange(end_ms // 200)) % len(gaps)  # no beat comes sooner than 200 ms after another
        times = np.cumsum(gaps[rows]) - gaps[rows[0]]
        count = int(np.searchsorted(times, end_ms))
        return rows[:count], times[:count]


@dataclass(frozen=True, slots=True)
class CommandRun:
    """One run of the command, as a whole process."""

    beats: int
    seconds: float
    cpu_seconds: float

    def without(self, other: CommandRun) -> CommandRun:
        """What this run did besides what the other one did."""
        return CommandRun(self.beats - other.beats, self.seconds - other.seconds, self.cpu_seconds - other.cpu_seconds)

    def __str__(self) -> str:
        """The cells of the table."""
        cpu = 1e6 * self.cpu_seconds / self.beats
        return f"{self.beats:,} | {self.seconds:.1f} | **{self.beats / self.seconds / 1000:.1f}** | {cpu:.2f}"


@click.command()
@click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Records.")
@click.option("--sources", default=1000, show_default=True)
@click.option("--minutes", default=27.0, show_default=True)
@click.option("--partitions", default=12, show_default=True)
@click.option("--client", "clients", multiple=True, type=click.Choice(CLIENTS), default=CLIENTS, show_default=True)
@click.option("--cores", default=2, show_default=True, help="Cores for everything, a broker of our own included.")
def main(model: Path, data: Path, partitions: int, clients: Sequence[str], cores: int, **load: Any) -> None:
    """Fill a topic, and print the beats a second and the CPU time of the command."""
    machine.use_cores(cores)
    began_ms, lasts_ms = int(1000 * time.time()) - DAY_MS, int(60_000 * load["minutes"])
    streams = [Stream.of(path) for path in sorted(data.glob("*.hea")) if path.stem not in PACED]
    with kafka() as address:
        case = Case(address, fresh_prefix(), "backtest", str(model.resolve()), 0, 0.0, partitions)
        make_topics(case, case.partitions)
        beats = _beats(streams, load["sources"], began_ms, lasts_ms)
        count = send(producer(case, Load(0, 0)), case.beats_topic, beats)
        click.echo(f"{count:,} beats of {load['sources']:,} sources in {partitions} partitions", err=True)
        click.echo(
            "| client | phase | beats | s | thousand beats a second | CPU µs a beat |\n|---|---|---|---|---|---|"
        )
        for client in clients:
            learning, whole = (_run(case, client, began_ms, began_ms + end) for end in (LEARNING_MS, lasts_ms))
            for phase, run in (("whole", whole), ("learning", learning), ("settled", whole.without(learning))):
                click.echo(f"| {client} | {phase} | {run} |")


def _beats(streams: Sequence[Stream], sources: int, began_ms: int, lasts_ms: int) -> Iterator[SentBeat]:
    """The beats of all sources in the order of their times. Each source is a record, from some beat on."""
    random, found = np.random.default_rng(SEED), []
    for number in range(sources):
        stream = streams[number % len(streams)]
        found.append(stream.repeated(int(random.integers(len(stream.values))), lasts_ms))
    source = np.repeat(np.arange(sources), [len(rows) for rows, _ in found])
    row, times = (np.concatenate(columns) for columns in zip(*found, strict=True))
    times += random.integers(0, BEAT_MS, sources)[source]
    order = np.argsort(times, kind="stable")
    for one, at, when in zip(source[order].tolist(), row[order].tolist(), times[order].tolist(), strict=True):
        stream = streams[one % len(streams)]
        yield b"bed-%06d-II" % one, stream.values[at], began_ms + when, stream.headers[at]


def _run(case: Case, client: str, from_ms: int, to_ms: int) -> CommandRun:
    """Run the command over a period."""
    settings = case.settings()
    names = ("bootstrap_servers", "beats_topic", "alerts_topic", "scores_topic", "dead_letters_topic", "control_topic")
    own = {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}
    own |= {"MONITOR_MODEL": case.model, "MONITOR_KAFKA_CLIENT": client, "MONITOR_GROUP_ID": case.group}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MONITOR_")}
    period = ["--from", rfc3339(from_ms), "--to", rfc3339(to_ms)]
    command = [sys.executable, "-m", "monitor", "backtest", *period, "--json"]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=kept | ONE_THREAD | own, stdout=subprocess.PIPE, check=True)
    seconds, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return CommandRun(json.loads(done.stdout)["beats"], seconds, cpu)


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
