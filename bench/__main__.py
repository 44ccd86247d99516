"""`make bench`: ratios of medians, never absolute promises. `--profile` shows where the monitor's own time goes."""

from __future__ import annotations

import cProfile
import io
import pstats
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from prometheus_client import CollectorRegistry

from bench.case import Case
from bench.naive import judge_one_by_one
from monitor import artifact, beatfile
from monitor.broker import KafkaBroker, Publisher, TopicPlan, create_topics
from monitor.daemon import tune_memory
from monitor.episode import Episodes, Rule
from monitor.health import Health
from monitor.metrics import Metrics
from monitor.publish import encode, source_name
from monitor.record import Message
from monitor.scorer import Scorer, use_one_thread
from monitor.threshold import Thresholds
from monitor.worker import Line, Worker
from tests.brokers import broker_at_hand

if TYPE_CHECKING:
    from collections.abc import Callable


SOURCES = 60
ABNORMAL_SHARE = 0.02
SEED = 1


@click.command()
@click.option("--model", "path", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with ECG5000_TEST.tsv.")
@click.option("--beats", default=100_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--profile", is_flag=True, help="Profile this monitor once instead.")
def main(path: Path, data: Path, beats: int, rounds: int, *, profile: bool) -> None:
    """Judge the same beats with every contender in turn, again and again."""
    use_one_thread()
    model = artifact.load(path, "cpu")
    with tempfile.TemporaryDirectory() as folder, broker_at_hand(Path(folder)) as broker:
        case = Case(broker.address, model, beats, "exactly-once" if broker.is_kafka else "at-least-once")
        fill(case, beatfile.read(data / "ECG5000_TEST.tsv"))
        if profile:
            show_profile(case)
            return
        contenders = {"record at a time": judge_one_by_one, "this monitor": judge_in_batches}
        report(measure(case, contenders, rounds), scoring_alone(case))


def fill(case: Case, stock: beatfile.BeatFile) -> None:
    random = np.random.default_rng(SEED)
    settings = case.settings("fill")
    for _ in create_topics(settings, TopicPlan(4, 1, 168)):
        pass
    if stock.abnormal is None:
        raise click.ClickException("the beats need labels")
    pools = [np.flatnonzero(stock.abnormal == label) for label in (False, True)]
    with closing(Publisher(settings)) as publisher:
        for count, abnormal in enumerate(random.random(case.beats) < ABNORMAL_SHARE):
            row = random.choice(pools[int(abnormal)])
            value = encode(stock.samples[row], "float32")
            publisher.send(Message(settings.beats_topic, source_name(count % SOURCES), value))
        publisher.flush()


def measure(case: Case, contenders: dict[str, Callable[[Case, str], float]], rounds: int) -> dict[str, list[float]]:
    """Beats per second of each contender in each round, in turn: A B, A B."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for count in range(rounds):
        for name, judge in contenders.items():
            rates[name].append(case.beats / judge(case, f"{name.replace(' ', '-')}-{count}"))
            click.echo(f"round {count + 1}: {name}: {rates[name][-1]:,.0f} beats/s", err=True)
    return rates


def judge_in_batches(case: Case, group: str) -> float:
    """Seconds that the monitor takes, from its first records to the last commit."""
    settings = case.settings(group)
    registry = CollectorRegistry()
    scorer = Scorer(case.model, "cpu", settings.batch_size)
    thresholds, metrics = Thresholds.from_manifest(case.model.manifest), Metrics(registry)
    with closing(KafkaBroker(settings, metrics)) as broker:
        line = Line(broker, scorer, thresholds, Episodes(Rule(3, 5, 5, 60_000)), metrics, Health())
        worker = Worker(line, settings, case.model.manifest.model_id)
        tune_memory()
        began = 0.0
        while (judged := registry.get_sample_value("ecg_monitor_beats_total") or 0) < case.beats:
            if not judged:
                began = time.perf_counter()
            worker.turn()
    return time.perf_counter() - began


def scoring_alone(case: Case) -> float:
    """Beats per second of the model without Kafka: the upper limit."""
    scorer = Scorer(case.model, "cpu", 2048)
    samples = np.random.default_rng(SEED).standard_normal((2048, 140)).astype(np.float32)
    began, rounds = time.perf_counter(), 50
    for _ in range(rounds):
        scorer.score(samples)
    return rounds * len(samples) / (time.perf_counter() - began)


def report(rates: dict[str, list[float]], limit: float) -> None:
    slowest = statistics.median(rates["record at a time"])
    for name, found in rates.items():
        median = statistics.median(found)
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        click.echo(f"{name:18} {median:10,.0f} beats/s ({spread}), {median / slowest:.1f} times record at a time")
    click.echo(f"{'scoring alone':18} {limit:10,.0f} beats/s")


def show_profile(case: Case) -> None:
    profile = cProfile.Profile()
    profile.enable()
    judge_in_batches(case, "profile")
    profile.disable()
    text = io.StringIO()
    statistics_of = pstats.Stats(profile, stream=text).sort_stats("tottime")
    statistics_of.print_stats(25)
    statistics_of.print_stats(r"main/monitor|monitor/(worker|beat|episode|scorer|threshold|alert|metrics|record)")
    sys.stdout.write(text.getvalue())


main()
