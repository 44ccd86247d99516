"""How the dashboards' PromQL is put together, and how it is asked without Grafana.

Every selector is bound to the variables $job and $instance, and every rate to $__rate_interval.
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
    """How old a time stamp was when it was scraped, else the scrape's own age shows; nothing where it never was set."""
    stamp = select(metric, *matchers)
    return f"clamp_min(timestamp({stamp}) - ({stamp} > 0), 0)"


def of_monitors(expr: str) -> str:
    """What Prometheus and its client library measure of everything, of monitors alone: $job may be any job."""
    return f"{expr} and on (job) {select('ecg_monitor_build_info')}"


def added(expr: str, *by: str) -> str:
    """The sum over everything but the labels `by`."""
    return _over("sum", expr, *by)


def highest(expr: str, *by: str) -> str:
    return _over("max", expr, *by)


def _over(operator: str, expr: str, *by: str) -> str:
    return f"{operator} by ({', '.join(by)}) ({expr})" if by else f"{operator}({expr})"


def share(part: str, whole: str) -> str:
    """Rate over rate, each added up before the division: a mean of the instances' shares would be wrong."""
    return f"{added(rate(part))} / {added(rate(whole))}"


def at_most(histogram: str, edge: str) -> str:
    """Share of what a histogram counted that lies at or below one of its edges."""
    below = rate(f"{histogram}_bucket", f'le="{edge}"')
    return f"{added(below)} / {added(rate(f'{histogram}_count'))}"


def quantiles(histogram: str, *wanted: float, by: tuple[str, ...] = ()) -> tuple[Query, ...]:
    """Quantiles over all instances, or by some labels: buckets can be added up, quantiles cannot."""
    buckets = added(rate(histogram + "_bucket"), *by, "le")
    whose = "".join(f"{{{{{label}}}}} " for label in by)
    return tuple(Query(f"{whose}p{100 * q:g}", f"histogram_quantile({q:g}, {buckets})") for q in wanted)


def filled(expr: str, rate_interval: str = "20s", variables: Mapping[str, str] = EVERYTHING) -> str:
    """The expression as Grafana would ask it: an interval of four scrapes, and all of everything."""
    for name, value in {"__rate_interval": rate_interval, **variables}.items():
        expr = expr.replace(f"${name}", value)
    return expr
