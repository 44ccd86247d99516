"""The panels of one instance's work: its loop, what it scored, what it delivered."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.panel import INSTANCE, NEVER, Query, Row, above, heatmap, layers, lines
from deploy.grafana.promql import added, age, highest, quantiles, rate, select

ONE = ("instance",)

LOOP = Row(
    "Loop",
    (
        lines(
            "Step time",
            "From records to acknowledged delivery.",
            "s",
            *quantiles("ecg_monitor_step_seconds", 0.5, 0.99, by=ONE),
        ),
        layers(
            "Where the time goes",
            "Share of the thread's time in each stage and in waiting for records, a mean where several instances are "
            "chosen. Hardly any waiting: it is at its limit.",
            "percentunit",
            Query("{{stage}}", f"avg by (stage) ({rate('ecg_monitor_stage_seconds_sum')})"),
            Query("waiting", f"avg({rate('ecg_monitor_poll_seconds_sum')})"),
        ),
        lines(
            "Stages, slowest hundredth",
            "What a slow step is made of. Deliver: the broker. Score: a first batch of a new size, or the device.",
            "s",
            *quantiles("ecg_monitor_stage_seconds", 0.99, by=("stage",)),
        ),
        lines(
            "Waiting for records",
            "One poll. Seconds with beats coming in: a rebalance, or a slow broker.",
            "s",
            *quantiles("ecg_monitor_poll_seconds", 0.5, 0.99, by=ONE),
        ),
        lines(
            "Records in a step",
            "At the batch size all the time: it works off a backlog.",
            "short",
            *quantiles("ecg_monitor_batch_beats", 0.5, 0.99, by=ONE),
        ),
        lines(
            "Since records came",
            "Old while the partitions have lag: they are stuck. Old without lag: nobody publishes.",
            "s",
            Query(INSTANCE, highest(age("ecg_monitor_last_beats_timestamp_seconds"), *ONE)),
            steps=above(60, 600),
        ),
    ),
)

SCORES = Row(
    "Scores",
    (
        heatmap(
            "Scores",
            "Beats a second in each band of the reconstruction error, by the band's upper edge.",
            Query("{{le}}", added(rate("ecg_monitor_score_bucket"), "le")),
        ),
        lines(
            "Median score and threshold",
            "An instance whose median is unlike the others' reads other patients, or serves another model.",
            "short",
            *quantiles("ecg_monitor_score", 0.5, by=ONE),
            Query("threshold", highest(select("ecg_monitor_threshold"))),
            width=12,
        ),
        lines(
            "Abnormal beats",
            "A second, by instance. A step with a new threshold or model is that; see the annotations.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_abnormal_beats_total"), *ONE)),
        ),
        lines(
            "Dead letters",
            "Records that are no beats, by instance. Only one: look at the publishers of its partitions.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_dead_letters_total"), *ONE)),
        ),
        lines(
            "Open episodes",
            "Sources in alarm, of the partitions read here.",
            "none",
            Query("{{instance}} {{kind}}", added(select("ecg_monitor_episodes"), "instance", "kind")),
        ),
    ),
)

DELIVERY = Row(
    "Delivery",
    (
        lines(
            "Commits",
            "About one a second and one for each step with something to say. None with beats coming in: see failures.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_commits_total"), *ONE)),
        ),
        lines(
            "Failed commits",
            "Tried again. Only one instance: its network, or another process has its MONITOR_INSTANCE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_commit_failures_total"), *ONE)),
            steps=NEVER,
        ),
        lines(
            "Alert latency, slowest hundredth",
            "From the beat's timestamp to the acknowledged alert. Empty: no alerts.",
            "s",
            *quantiles("ecg_monitor_alert_latency_seconds", 0.99, by=ONE),
            steps=above(10, 60),
        ),
        lines(
            "Rebalances",
            "Changes of the partitions it reads, a minute.",
            "cpm",
            Query(INSTANCE, "60 * " + added(rate("ecg_monitor_rebalances_total"), *ONE)),
        ),
        lines(
            "Reading state back",
            "Before the first beat of a partition. Empty: no partition changed hands.",
            "s",
            *quantiles("ecg_monitor_restore_seconds", 0.99, by=ONE),
            steps=above(5, 20),
        ),
        lines(
            "Sources restored",
            "Rows of episode state read back: sources in trouble whose partition came here.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_restored_sources_total"), *ONE)),
        ),
    ),
)
