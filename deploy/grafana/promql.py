"""How the dashboards' PromQL is put together.

Every selector is bound to the variables $job and $instance, and every rate to $__rate_interval.
"""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from deploy.grafana.panel import Query


def select(metric: str) -> str:
    return metric + '{job=~"$job", instance=~"$instance"}'


def rate(metric: str) -> str:
    return f"rate({select(metric)}[$__rate_interval])"


def of_monitors(expr: str) -> str:
    """What Prometheus and its client library measure of everything, of monitors alone: $job may be any job."""
    return f"{expr} and on (job) {select('ecg_monitor_build_info')}"


def added(expr: str, *by: str) -> str:
    """The sum over everything but the labels `by`."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def share(part: str, whole: str) -> str:
    """Rate over rate, each added up before the division: a mean of the instances' shares would be wrong."""
    return f"{added(rate(part))} / {added(rate(whole))}"


def quantiles(histogram: str, *wanted: float) -> tuple[Query, ...]:
    """Quantiles over all instances: buckets can be added up, quantiles cannot."""
    buckets = added(rate(histogram + "_bucket"), "le")
    return tuple(Query(f"p{100 * q:g}", f"histogram_quantile({q:g}, {buckets})") for q in wanted)
