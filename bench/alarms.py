"""`python -m bench.alarms --data FOLDER`: alarms of the rule `run` on recordings, counted against annotations.

Prints what docs/experiments.md shows, with the latency of each run and what the profile learned; `ecg-monitor backtest`
is the same for other people's recordings. Paced recordings are left out (MIT-BIH 102, 104, 107 and 217): their beats
are artificial. How it is counted: `monitor/backtest/counting.py`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from monitor.alarms.run_rule import Sensitivity
from monitor.backtest import BacktestPlan, StepPlan, backtest
from monitor.backtest.report import summary
from monitor.errors import MonitorError, RefusedError
from monitor.recordings import lead_names, open_recording
from monitor.recordings.lead_choice import usual_lead
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.backtest import BacktestResult
    from monitor.recordings import Recording

PACED = frozenset({"102", "104", "107", "217"})
HEAD = """\
| record | false episodes | without changes | runs of 3 | of 5 | opens at beat | fibrillation | kept | templates |
|---|---|---|---|---|---|---|---|---|"""


def opened(path: Path) -> Recording:
    """The usual lead of a recording, or its first."""
    return open_recording(path, lead=usual_lead(lead_names(path)))


def row(result: BacktestResult) -> str:
    """One recording as a line of the table."""
    part = result.counted[0]
    latencies = " ".join(map(str, part.latencies)) or "-"
    runs = f"{part.found} of {part.runs} | {part.long_found} of {part.long_runs}"
    flutter = f"{part.flutters_found} of {part.flutters}"
    kinds = f"{part.false} | {part.false_unchanged} | {runs} | {latencies} | {flutter}"
    return f"| {result.path.stem} | {kinds} | {result.kept:.2f} | {result.templates} |"


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--only", multiple=True, help="Names of recordings.  [default: all but paced ones]")
@click.option("--sensitivity", type=click.Choice(get_args(Sensitivity)), default="normal", show_default=True)
@click.option("--seconds", default=300.0, show_default=True, help="Learning time, which is not judged.")
@click.option("--noise", is_flag=True, help="Use the noise before beats, which `publish` sends along.")
def main(data: Path, only: tuple[str, ...], sensitivity: Sensitivity, seconds: float, *, noise: bool) -> None:
    """Judge every annotated WFDB record in a folder, and print what was found as a table."""
    paths = [path for path in sorted(data.glob("*.hea")) if path.stem in (only or {path.stem} - PACED)]
    plan = BacktestPlan((sensitivity,), StepPlan(Settings(profile_seconds=seconds)), noise)
    results, began = [], time.process_time()
    click.echo(HEAD)
    for recording in map(opened, paths):
        if recording.annotations is not None:
            results.append(backtest(recording, plan))
            click.echo(row(results[-1]))
    if not results:
        raise RefusedError(f"{data}: holds no WFDB record with annotations")
    cost = 1e6 * (time.process_time() - began) / max(1, sum(one.beats for one in results))
    click.echo("\n" + "\n".join(summary(results)) + f"\n{cost:.0f} µs of CPU a beat, with reading and detection")


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        sys.exit(str(error))
