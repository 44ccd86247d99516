"""The panels of «ECG monitor — overview»: rows in the order that beats flow through the monitor."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.panel import Panel, Query, Step, heatmap, lines, name, number
from deploy.grafana.promql import added, of_monitors, quantiles, rate, select, share

BEGINNING = None  # of a colour scale
PRESENT = (Step(BEGINNING, "red"), Step(1, "green"))

WORKING = (
    number(
        "Monitors up",
        "Instances that answered the last scrape. Fewer than were started: read the log of the one that is gone.",
        "none",
        f"{added(of_monitors(select('up')))} or vector(0)",
        *PRESENT,
    ),
    number(
        "Broker reachable",
        "No: at least one instance waits for the broker. It goes on by itself when the broker is back.",
        "bool_yes_no",
        f"min({select('ecg_monitor_broker_up')})",
        *PRESENT,
    ),
    number(
        "Partitions read",
        "Assigned now, over all instances. Fewer than the topic has, for minutes: the group is stuck in a rebalance.",
        "none",
        added(select("ecg_monitor_assigned_partitions")),
        *PRESENT,
    ),
    number(
        "Lag",
        "Age of the last judged beat in the slowest partition that has lag. This is how late alerts are.",
        "s",
        f"max({select('ecg_monitor_lag_seconds')})",
        *(Step(BEGINNING, "green"), Step(10, "yellow"), Step(60, "red")),
    ),
    number(
        "Last step",
        "Since the loop of the slowest instance last turned. Red: it hangs; restart it and keep its log.",
        "s",
        f"time() - min({select('ecg_monitor_last_step_timestamp_seconds')} > 0)",
        *(Step(BEGINNING, "green"), Step(30, "yellow"), Step(120, "red")),  # /healthz fails at 120 s
    ),
    number(
        "Threshold",
        "Score above which a beat is abnormal, for all sources; the highest where instances differ.",
        "none",
        f"max({select('ecg_monitor_threshold')})",
        Step(BEGINNING, "text"),
    ),
    name(
        "Model",
        "What is served, and where. More than one for longer than a roll-out: instances judge like beats differently.",
        Query("{{model_id}} on {{device}}", f"count by (model_id, device) ({select('ecg_monitor_model_info')})"),
    ),
)

INGEST = (
    lines(
        "Beats",
        "Beats read and judged, by instance. Flat while beats are published: see lag and last step.",
        "cps",
        Query("{{instance}}", added(rate("ecg_monitor_beats_total"), "instance")),
    ),
    lines(
        "Lag in seconds, by partition",
        "Age of the last judged beat; 0 without lag. One partition alone: its instance is stuck, or its sources many.",
        "s",
        Query("{{partition}}", f"max by (partition) ({select('ecg_monitor_lag_seconds')})"),
    ),
    lines(
        "Lag in records, by partition",
        "Records between the last judged one and the end. Growing: add instances, up to the partitions.",
        "short",
        Query("{{partition}}", f"max by (partition) ({select('ecg_monitor_lag_records')})"),
    ),
    lines(
        "Dead letters, by reason",
        "Records that are no beats. Rising: a publisher sends something else; read the dead letters.",
        "cps",
        Query("{{reason}}", added(rate("ecg_monitor_dead_letters_total"), "reason")),
    ),
    lines(
        "Unscorable beats, by cause",
        "Valid beats that cannot be scored, flat lines for one. Rising: look at electrodes and gain.",
        "cps",
        Query("{{cause}}", added(rate("ecg_monitor_unscorable_beats_total"), "cause")),
    ),
    lines(
        "Broker: failures, rebalances, commits",
        "Failures are tried again: look at broker and network. Rebalances without a roll-out: instances come and go. "
        "No commits: no progress.",
        "cps",
        Query("failures", added(rate("ecg_monitor_broker_failures_total"))),
        Query("rebalances", added(rate("ecg_monitor_rebalances_total"))),
        Query("commits", added(rate("ecg_monitor_commits_total"))),
    ),
)

INFERENCE = (
    lines(
        "Step time",
        "From records to acknowledged delivery, waiting for records left out. As long as a batch takes to come in: "
        "the monitor is at its limit.",
        "s",
        *quantiles("ecg_monitor_step_seconds", 0.5, 0.9, 0.99),
    ),
    lines(
        "Records in a step",
        "Few: the monitor keeps up easily. MONITOR_BATCH_SIZE of them: it works off a backlog.",
        "short",
        Query("mean", share("ecg_monitor_batch_beats_sum", "ecg_monitor_batch_beats_count")),
        *quantiles("ecg_monitor_batch_beats", 0.5, 0.99),
    ),
    lines(
        "GPU fallbacks",
        "Batches that did not fit into GPU memory and were halved or scored on the CPU. Any: lower MONITOR_BATCH_SIZE.",
        "cps",
        Query("{{instance}}", added(rate("ecg_monitor_device_fallbacks_total"), "instance")),
    ),
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
        Query("threshold", f"max({select('ecg_monitor_threshold')})"),
        width=12,
    ),
)

ALARMS = (
    lines(
        "Abnormal beats, share",
        "Of all judged beats. Far above the model's budget on normal patients: wrong model or threshold.",
        "percentunit",
        Query("abnormal", share("ecg_monitor_abnormal_beats_total", "ecg_monitor_beats_total")),
        width=6,
    ),
    lines(
        "Alerts, by kind and event",
        "A minute, acknowledged by the broker. More opened than closed for long: open episodes grow.",
        "cpm",
        Query("{{kind}} {{event}}", "60 * " + added(rate("ecg_monitor_alerts_total"), "kind", "event")),
        width=6,
    ),
    lines(
        "Open episodes, by kind",
        "Sources in alarm now. Technical: electrodes and gain. Physiological: somebody should look at the trace.",
        "none",
        Query("{{kind}}", added(select("ecg_monitor_episodes"), "kind")),
        width=6,
    ),
    lines(
        "Alert latency",
        "From the beat's timestamp to the acknowledged alert. High: see lag and step time. Empty: no alerts.",
        "s",
        *quantiles("ecg_monitor_alert_latency_seconds", 0.5, 0.99),
        width=6,
    ),
)

DELIVERY = (
    lines(
        "Steps that came to nothing",
        "Transactions that were not committed: their beats are read again, nothing is lost or doubled. A few at a "
        "rebalance; many for long: look at broker and network.",
        "cps",
        Query("{{instance}}", added(rate("ecg_monitor_rewinds_total"), "instance")),
        width=6,
    ),
    lines(
        "State read back",
        "Rows of episode state. Restored: a monitor took over partitions. Ignored: they cannot be read, see the log.",
        "cps",
        Query("restored", added(rate("ecg_monitor_restored_sources_total"))),
        Query("ignored", added(rate("ecg_monitor_state_ignored_total"))),
        width=6,
    ),
    lines(
        "Records never judged",
        "Lost: deleted by retention before they were read; raise it or add instances. Shed: older than "
        "MONITOR_MAX_AGE_SECONDS.",
        "cps",
        Query("lost", added(rate("ecg_monitor_lost_records_total"))),
        Query("shed", added(rate("ecg_monitor_shed_records_total"))),
        width=6,
    ),
    lines(
        "Offset resets, ignored control records",
        "Resets: a partition's next offset was gone. Control records: nonsense that somebody wrote there, see the log.",
        "cps",
        Query("offset resets", added(rate("ecg_monitor_offset_resets_total"))),
        Query("control records", added(rate("ecg_monitor_control_ignored_total"))),
        width=6,
    ),
)

PROCESS = (
    lines(
        "CPU",
        "Cores in use, by instance. At 1 the one thread is busy: add instances, up to the partitions.",
        "short",
        Query("{{instance}}", added(of_monitors(rate("process_cpu_seconds_total")), "instance")),
        width=12,
    ),
    lines(
        "Memory",
        "Resident, by instance. Level after the first minutes; steady growth is a leak.",
        "bytes",
        Query("{{instance}}", added(of_monitors(select("process_resident_memory_bytes")), "instance")),
        width=12,
    ),
)

ROWS: dict[str, tuple[Panel, ...]] = {
    "Is it working": WORKING,
    "Ingest": INGEST,
    "Inference": INFERENCE,
    "Alarms": ALARMS,
    "Delivery": DELIVERY,
    "Process": PROCESS,
}
