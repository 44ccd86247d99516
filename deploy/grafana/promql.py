"""Builds the PromQL of the dashboards, and fills in its variables for use without Grafana.

Every selector uses the variables $job and $instance, and every rate uses $__rate_interval.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.grafana.panel import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_PARTITION = 'partition=~"$partition"'
EVERYTHING = {"job": ".+", "instance": ".+", "partition": ".+"}


def select(metric: str, *matchers: str) -> str:
    bound = ", ".join(['job=~"$job"', 'instance=~"$instance"', *matchers])
    return f"{metric}{{{bound}}}"


def rate(metric: str, *matchers: str) -> str:
    return f"rate({select(metric, *matchers)}[$__rate_interval])"


def age(metric: str, *matchers: str) -> str:
    """The age of a timestamp when it was scraped, without the age of the scrape. No value if it was never set."""
    stamp = select(metric, *matchers)
    return f"clamp_min(timestamp({stamp}) - ({stamp} > 0), 0)"


def of_monitors(expr: str) -> str:
    """Restrict a metric that every process has to the monitors, because $job can be any job."""
    return f"{expr} and on (job) {select('ecg_monitor_build_info')}"


def added(expr: str, *by: str) -> str:
    """The sum over all labels except `by`."""
    return _over("sum", expr, *by)


def highest(expr: str, *by: str) -> str:
    return _over("max", expr, *by)


def _over(operator: str, expr: str, *by: str) -> str:
    return f"{operator} by ({', '.join(by)}) ({expr})" if by else f"{operator}({expr})"


def share(part: str, whole: str) -> str:
    """A ratio of two rates, each summed before the division: a mean of the instances' ratios would be wrong."""
    return f"{added(rate(part))} / {added(rate(whole))}"


def at_most(histogram: str, edge: str) -> str:
    """The share of a histogram's observations at or below one of its edges."""
    below = rate(f"{histogram}_bucket", f'le="{edge}"')
    return f"{added(below)} / {added(rate(f'{histogram}_count'))}"


def quantiles(histogram: str, *wanted: float, by: tuple[str, ...] = ()) -> tuple[Query, ...]:
    """Quantiles over all instances, or by some labels. Buckets are summed first, because quantiles cannot be."""
    buckets = added(rate(histogram + "_bucket"), *by, "le")
    whose = "".join(f"{{{{{label}}}}} " for label in by)
    return tuple(Query(f"{whose}p{100 * q:g}", f"histogram_quantile({q:g}, {buckets})") for q in wanted)


def filled(expr: str, rate_interval: str = "20s", variables: Mapping[str, str] = EVERYTHING) -> str:
    """The expression with its variables filled in: by default for all series, and an interval of four scrapes."""
    for name, value in {"__rate_interval": rate_interval, **variables}.items():
        expr = expr.replace(f"${name}", value)
    return expr
