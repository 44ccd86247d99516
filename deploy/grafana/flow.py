"""The overview's panels of the beats' way: in, scored, judged."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from deploy.grafana.panel import INSTANCE, Query, Row, above, heatmap, layers, lines
from deploy.grafana.promql import added, at_most, highest, quantiles, rate, select, share

INGEST = Row(
    "Ingest",
    (
        lines(
            "Beats",
            "Beats read and judged, by instance. Flat while beats are published: see lag and last step.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_beats_total"), "instance")),
        ),
        lines(
            "Lag in seconds, by partition",
            "Age of the last judged beat; 0 without lag. One partition alone: its instance is stuck, or its sources "
            "are many. All: add instances, up to the partitions.",
            "s",
            Query("{{partition}}", highest(select("ecg_monitor_lag_seconds"), "partition")),
            steps=above(10, 60),
        ),
        lines(
            "Lag in records, by partition",
            "Records between the last judged one and the end. Growing: add instances, up to the partitions.",
            "short",
            Query("{{partition}}", highest(select("ecg_monitor_lag_records"), "partition")),
        ),
        lines(
            "Dead letters, by reason",
            "Records that are no beats. Rising: a publisher sends something else; `ecg-monitor dead-letters list`.",
            "cps",
            Query("{{reason}}", added(rate("ecg_monitor_dead_letters_total"), "reason")),
        ),
        lines(
            "Refused, share",
            "Of all records, those that are no beats. A few: one broken publisher. Most: a format was changed.",
            "percentunit",
            Query(
                "refused",
                f"{added(rate('ecg_monitor_dead_letters_total'))} / "
                f"({added(rate('ecg_monitor_dead_letters_total'))} + {added(rate('ecg_monitor_beats_total'))})",
            ),
            steps=above(0.01, 0.2),
        ),
        lines(
            "Unscorable beats, by cause",
            "Valid beats that cannot be scored, flat lines for one. Rising: look at electrodes and gain.",
            "cps",
            Query("{{cause}}", added(rate("ecg_monitor_unscorable_beats_total"), "cause")),
        ),
    ),
)

INFERENCE = Row(
    "Inference",
    (
        lines(
            "Step time",
            "From records to acknowledged delivery, waiting for records left out. As long as a batch takes to come "
            "in: the monitor is at its limit.",
            "s",
            *quantiles("ecg_monitor_step_seconds", 0.5, 0.9, 0.99),
        ),
        layers(
            "Where the time goes",
            "Share of the loop's time in each stage, a mean of the instances; what is left of 1 is waiting for "
            "records. Near 1: add instances. The largest layer is what to mend: score: MONITOR_DEVICE; deliver: the "
            "broker.",
            "percentunit",
            Query("{{stage}}", f"avg by (stage) ({rate('ecg_monitor_stage_seconds_sum')})"),
        ),
        lines(
            "Records in a step",
            "Few: the monitor keeps up easily. MONITOR_BATCH_SIZE of them: it works off a backlog.",
            "short",
            Query("mean", share("ecg_monitor_batch_beats_sum", "ecg_monitor_batch_beats_count")),
            *quantiles("ecg_monitor_batch_beats", 0.5, 0.99),
        ),
    ),
)

SCORES = Row(
    "Scores and alarms",
    (
        heatmap(
            "Scores",
            "Beats a second in each band of the reconstruction error; a band is named by its upper edge. Two clouds, "
            "one on either side of the threshold, are a healthy picture.",
            Query("{{le}}", added(rate("ecg_monitor_score_bucket"), "le")),
        ),
        lines(
            "Score quantiles and threshold",
            "p50 is what a usual beat scores. A slow drift upwards on normal patients asks for recalibration.",
            "short",
            *quantiles("ecg_monitor_score", 0.5, 0.9, 0.99),
            Query("threshold", highest(select("ecg_monitor_threshold"))),
            width=12,
        ),
        lines(
            "Abnormal beats, share",
            "Of all judged beats, beside what the model's calibration expects of normal ones. Far above it on normal "
            "patients: wrong model or threshold.",
            "percentunit",
            Query("abnormal", share("ecg_monitor_abnormal_beats_total", "ecg_monitor_beats_total")),
            Query("expected of normal beats", highest(select("ecg_monitor_expected_abnormal_ratio"))),
        ),
        lines(
            "Drift: beats by p-value, share",
            "On normal patients one beat in 100 has p ≤ 0.01, one in 20 p ≤ 0.05, one in two p ≤ 0.5. Slowly more: "
            "the patients or the leads are not those of the calibration; recalibrate.",
            "percentunit",
            *(Query(f"p ≤ {edge}", at_most("ecg_monitor_p_value", edge)) for edge in ("0.01", "0.05", "0.5")),
        ),
        lines(
            "Alerts, by kind and event",
            "A minute, acknowledged by the broker. More opened than closed for long: open episodes grow.",
            "cpm",
            Query("{{kind}} {{event}}", "60 * " + added(rate("ecg_monitor_alerts_total"), "kind", "event")),
        ),
        lines(
            "Open episodes, by kind",
            "Sources in alarm now. Technical: electrodes and gain. Physiological: somebody should look at the trace.",
            "none",
            Query("{{kind}}", added(select("ecg_monitor_episodes"), "kind")),
        ),
        lines(
            "Alert latency",
            "From the beat's timestamp to the acknowledged alert. High: see lag and step time. Empty: no alerts.",
            "s",
            *quantiles("ecg_monitor_alert_latency_seconds", 0.5, 0.99),
            steps=above(10, 60),
        ),
        lines(
            "Thresholds of single sources; clocks ahead",
            "Sources with a threshold of their own, `ecg-monitor threshold show` lists them. Clocks ahead: alerts from "
            "before their beat's timestamp, a minute; set a publisher's clock right.",
            "none",
            Query("sources", highest(select("ecg_monitor_source_thresholds"))),
            Query("clocks ahead", "60 * " + added(rate("ecg_monitor_clock_skewed_alerts_total"))),
        ),
    ),
)
