"""The panels for an instance's loop, scores and delivery."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.panel import INSTANCE, NEVER, PanelRow, Query, above, heatmap, layers, lines
from deploy.grafana.promql import added, age, highest, quantiles, rate, select

ONE = ("instance",)

LOOP = PanelRow(
    "Loop",
    (
        lines(
            "Step time",
            "From receiving records to acknowledged delivery.",
            "s",
            *quantiles("ecg_monitor_step_seconds", 0.5, 0.99, by=ONE),
        ),
        layers(
            "Time by stage",
            "Share of the thread's time in each stage and in waiting for records, mean of the selected instances. If "
            "it hardly waits, it is at its capacity.",
            "percentunit",
            Query("{{stage}}", f"avg by (stage) ({rate('ecg_monitor_stage_seconds_sum')})"),
            Query("waiting", f"avg({rate('ecg_monitor_poll_seconds_sum')})"),
        ),
        lines(
            "Stages, p99",
            "The stages of slow steps. Deliver: the broker. Score: a first batch of a new size, or the device.",
            "s",
            *quantiles("ecg_monitor_stage_seconds", 0.99, by=("stage",)),
        ),
        lines(
            "Waiting for records",
            "Duration of one poll. Seconds while beats arrive: a rebalance, or a slow broker.",
            "s",
            *quantiles("ecg_monitor_poll_seconds", 0.5, 0.99, by=ONE),
        ),
        lines(
            "Records in a step",
            "Always equal to the batch size: it works off a backlog.",
            "short",
            *quantiles("ecg_monitor_batch_beats", 0.5, 0.99, by=ONE),
        ),
        lines(
            "Since the last records",
            "High while the partitions have lag: they are stuck. High without lag: no records are published.",
            "s",
            Query(INSTANCE, highest(age("ecg_monitor_last_beats_timestamp_seconds"), *ONE)),
            steps=above(60, 600),
        ),
    ),
)

SCORES = PanelRow(
    "Scores",
    (
        heatmap(
            "Scores",
            "Beats per second in each band of the reconstruction error. The label is the band's upper edge.",
            Query("{{le}}", added(rate("ecg_monitor_score_bucket"), "le")),
        ),
        lines(
            "Median score and threshold",
            "If the median of an instance differs from the others, it reads other patients or serves another model.",
            "short",
            *quantiles("ecg_monitor_score", 0.5, by=ONE),
            Query("threshold", highest(select("ecg_monitor_threshold"))),
            width=12,
        ),
        lines(
            "Abnormal beats",
            "Per second, by instance. A new threshold or model causes a jump; see the annotations.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_abnormal_beats_total"), *ONE)),
        ),
        lines(
            "Dead letters",
            "Records that are not beats, by instance. If only one has them, check the publishers of its partitions.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_dead_letters_total"), *ONE)),
        ),
        lines(
            "Open episodes",
            "Sources in alarm on the partitions that the instance reads.",
            "none",
            Query("{{instance}} {{kind}}", added(select("ecg_monitor_episodes"), "instance", "kind")),
        ),
    ),
)

DELIVERY = PanelRow(
    "Delivery",
    (
        lines(
            "Commits",
            "About one per second, and one for each step with alerts. If none while beats arrive, see failures.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_commits_total"), *ONE)),
        ),
        lines(
            "Failed commits",
            "They are retried. If only one instance fails: its network, or another process has its MONITOR_INSTANCE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_commit_failures_total"), *ONE)),
            steps=NEVER,
        ),
        lines(
            "Alert latency, p99",
            "From the beat's timestamp to the acknowledged alert. Empty: no alerts.",
            "s",
            *quantiles("ecg_monitor_alert_latency_seconds", 0.99, by=ONE),
            steps=above(10, 60),
        ),
        lines(
            "Rebalances",
            "Changes per minute of the partitions that the instance reads.",
            "cpm",
            Query(INSTANCE, "60 * " + added(rate("ecg_monitor_rebalances_total"), *ONE)),
        ),
        lines(
            "Time to restore state",
            "For offset, episode state and profiles of a new partition, before its first beat is scored. Empty: none "
            "was assigned.",
            "s",
            *quantiles("ecg_monitor_restore_seconds", 0.99, by=ONE),
            steps=above(5, 20),
        ),
        lines(
            "Sources restored",
            "Episode states read when a partition was assigned, per second: one for each source with an episode.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_restored_sources_total"), *ONE)),
        ),
    ),
)
