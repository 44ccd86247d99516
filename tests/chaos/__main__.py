"""`make chaos`: runs one scenario. The exit code is 1 when an alert is missing, unexpected or duplicated."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tests.chaos.disturbed_run import run_disturbed
from tests.chaos.hostile import run_hostile
from tests.chaos.outage import run_outage
from tests.chaos.scenarios import HOSTILE, OUTAGE, SCENARIOS, SOAK, Scenario
from tests.chaos.soak import run_soak
from tests.chaos.testbed import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.report import Report

FOLDER = click.Path(file_okay=False, path_type=Path)


def _numbers(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each integer of a plan. It overrides the value of the scenario."""
    for field in reversed(fields(Scenario)):
        if field.type == "int":
            command = click.option(f"--{field.name.replace('_', '-')}", field.name, type=click.IntRange(min=0))(command)
    return command


@click.command()
@click.option(
    "--scenario", type=click.Choice([*SCENARIOS, "hostile", "outage", "soak"]), default="all", show_default=True
)
@click.option("--seed", default=1, show_default=True)
@click.option("--model", type=click.Path(exists=True, path_type=Path), required=True, help="Model file.")
@click.option("--data", type=FOLDER, required=True, help="Folder with ECG5000_TEST.tsv.")
@click.option("--out", type=FOLDER, help="Where logs, Kafka's data and the report go (default: a new folder in /tmp).")
@click.option("--delivery", type=click.Choice(["exactly-once", "at-least-once"]), help="Default: the monitor's own.")
@click.option("--scores/--no-scores", default=None, help="Write and check the score of each beat.")
@click.option("--seconds", type=float, help="Of the outage (600), the soak (1200) or the attacks (90).")
@_numbers
def main(scenario: str, seed: int, out: Path | None, seconds: float | None, **given: Any) -> None:
    """Kill, freeze and restart monitors and Kafka; compare the output with that of an undisturbed run.

    `all` also plays `hostile`, where a publisher writes what has once stopped a monitor.
    KAFKA_HOME names a folder of Apache Kafka 4. The options below replace the scenario's own numbers.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its brokers are killed: it has much to say
    if not (home := os.environ.get("KAFKA_HOME")):
        raise click.UsageError("KAFKA_HOME names no folder of Apache Kafka 4")
    folder = out or Path(tempfile.mkdtemp(prefix="chaos-"))
    if any((folder / name).exists() for name in ("kafka", "hostile-kafka")):
        raise click.UsageError(f"{folder} has been played in: name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing that was started here is left behind
    model, data, delivery = (given.pop(name) for name in ("model", "data", "delivery"))
    inputs = Inputs(Path(home).resolve(), model.resolve(), data.resolve(), folder.resolve(), delivery)
    changed = {name: value for name, value in given.items() if value is not None}
    reports = [_play(scenario, seed, inputs, changed, seconds)]
    if (
        scenario == "all"
    ):  # apart from the storm: alerts that a dead broker delays say nothing about what an attack does
        reports.append(_play("hostile", seed, inputs, {}, None))
    for report in reports:
        report.write(folder / f"{report.scenario}-{seed}.json")
        click.echo(report.text())
    click.echo(f"logs and reports in {folder}")
    sys.exit(not all(report.holds for report in reports))


def _play(scenario: str, seed: int, inputs: Inputs, changed: dict[str, Any], seconds: float | None) -> Report:
    if scenario == "outage":
        plan = replace(OUTAGE, **changed, outage_seconds=seconds or OUTAGE.outage_seconds)
        return run_outage(plan, seed, inputs)
    if scenario == "hostile":
        return run_hostile(replace(HOSTILE, **changed), seed, inputs, seconds or 90.0)
    if scenario == "soak":
        return run_soak(replace(SOAK, **changed), seed, inputs, seconds or 1200.0)
    return run_disturbed(scenario, replace(SCENARIOS[scenario], **changed), seed, inputs)


main()
