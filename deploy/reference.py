"""Writes the table of metrics into `docs/operations.md`: `python -m deploy.reference`, from the repository's root.

Name, kind, labels and help come from the monitor's own registry; a test checks that the page is up to date.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, disable_created_metrics

from deploy.page_table import with_table
from monitor.telemetry.forward_recorder import ForwardMetrics
from monitor.telemetry.metrics import Metrics

PAGE = Path(__file__).parents[1] / "docs" / "operations.md"
BEGIN, END = "<!-- metrics: begin, `python -m deploy.reference` writes them -->\n", "<!-- metrics: end -->\n"
INFO_LABELS = {
    "build": ("version", "kafka_client"),
    "model": ("model_id", "device"),
    "config": ("group_id", "delivery", "name", "episode", "batch_size"),
}


def registry() -> CollectorRegistry:
    """The registry of a monitor with one partition and a GPU, so that every series has its labels."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = Metrics(CollectorRegistry())
    for name, labels in INFO_LABELS.items():
        getattr(metrics, f"{name}_info").info(dict.fromkeys(labels, ""))
    metrics.gpu_memory.labels("total")
    metrics.partitions.of(0)
    return metrics.registry


def forward_registry() -> CollectorRegistry:
    """The registry of a forwarder that reads a partition."""
    metrics = ForwardMetrics(CollectorRegistry())
    metrics.info.info({"version": "", "to": ""})
    metrics.lag.labels("0")
    return metrics.registry


def rows() -> list[str]:
    """One row of the table per metric, with its name as scraped."""
    found = []
    for family in (*registry().collect(), *forward_registry().collect()):
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        names = ", ".join(f"`{label}`" for label in labels)
        found.append(f"| `{family.name}{suffix}` | {family.type} | {names} | {family.documentation} |")
    return found


def page(text: str) -> str:
    """The page with the current table."""
    table = ["| metric | kind | labels | what it means, and what to do |", "|---|---|---|---|", *rows()]
    return with_table(text, BEGIN, END, table)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
