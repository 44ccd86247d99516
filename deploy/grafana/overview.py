"""The panels of «ECG monitor — overview»: rows in the order that beats flow through the monitor."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.panel import NEVER, PLAIN, PRESENT, Query, Row, above, heatmap, layers, lines, name, number, text
from deploy.grafana.promql import added, age, at_most, highest, of_monitors, quantiles, rate, select, share

INSTANCE = "{{instance}}"

READING = """\
**Read from the top; begin at the first thing that is red.** A panel's description says what to do.
One instance and its partitions: click a line, or *ECG monitor — instance* above.
Alerts have a runbook each, `docs/runbooks`; the rest is in `docs/operations.md`.
"""

RUNNING = Row(
    "What runs",
    (
        text("", READING, width=7),
        name(
            "Version",
            "More than one for longer than a roll-out: finish it, or take it back.",
            Query("{{version}}", f"count by (version) ({select('ecg_monitor_build_info')})"),
            width=3,
        ),
        name(
            "Model",
            "What is served, and where. More than one for longer than a roll-out: instances judge like beats "
            "differently.",
            Query("{{model_id}} on {{device}}", f"count by (model_id, device) ({select('ecg_monitor_model_info')})"),
            width=4,
        ),
        name(
            "Group",
            "Consumer group, and how it delivers. Two deliveries in one group: instances are set up differently.",
            Query("{{group_id}}, {{delivery}}", f"count by (group_id, delivery) ({select('ecg_monitor_config_info')})"),
            width=4,
        ),
        number(
            "Threshold",
            "Score above which a beat is abnormal, for all sources; the highest where instances differ.",
            "none",
            Query("Threshold", highest(select("ecg_monitor_threshold"))),
            PLAIN,
        ),
        number(
            "Set by control record",
            "Offset of the record of ecg.control that set the threshold, `ecg-monitor threshold show` has who and "
            "why. -1: it is the model's or the setting's.",
            "none",
            Query("Version", highest(select("ecg_monitor_threshold_version"))),
            PLAIN,
        ),
    ),
)

WORKING = Row(
    "Is it working",
    (
        number(
            "Monitors up",
            "Instances that answered the last scrape. Fewer than were started: read the log of the one that is gone.",
            "none",
            Query("up", f"{added(of_monitors(select('up')))} or vector(0)"),
            PRESENT,
        ),
        number(
            "Not ready",
            "Instances on which a beat would raise no alarm now. For minutes: ask their /readyz, it says which part.",
            "none",
            Query("not ready", f"count({select('ecg_monitor_ready')} == 0) or vector(0)"),
            NEVER,
        ),
        number(
            "Broker reachable",
            "No: at least one instance waits for the broker. It goes on by itself when the broker is back.",
            "bool_yes_no",
            Query("reachable", f"min({select('ecg_monitor_broker_up')})"),
            PRESENT,
        ),
        number(
            "Partitions read",
            "Over all instances. Fewer than the topic has, for minutes: the group is stuck in a rebalance.",
            "none",
            Query("partitions", added(select("ecg_monitor_assigned_partitions"))),
            PRESENT,
        ),
        number(
            "Lag",
            "Age of the last judged beat in the slowest partition that has lag. This is how late alerts are.",
            "s",
            Query("lag", highest(select("ecg_monitor_lag_seconds"))),
            above(10, 60),
        ),
        number(
            "Last step",
            "Since the loop of the slowest instance last turned. Red: it hangs; restart it and keep its log.",
            "s",
            Query("age", highest(age("ecg_monitor_last_step_timestamp_seconds"))),
            above(30, 120),  # /healthz fails at 120 s
        ),
        number(
            "Stillest partition",
            "Since the partition that has stood still for longest moved on or had nothing to read. Red: it is stuck; "
            "restart the instance that reads it.",
            "s",
            Query("age", highest(age("ecg_monitor_partition_last_progress_timestamp_seconds"))),
            above(20, 60),  # /healthz fails at 60 s
        ),
        number(
            "Last beats",
            "Since records last came to any instance. Old while the rest is green: nobody publishes.",
            "s",
            Query("age", f"min({age('ecg_monitor_last_beats_timestamp_seconds')})"),
            above(60, 600),
        ),
    ),
)

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
            steps=above(0.01, 0.1),
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
            "Share of the one thread's time in each stage, a mean of the instances; what is left of 1 is waiting for "
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

DELIVERY = Row(
    "Delivery",
    (
        lines(
            "Commits and failures",
            "Commits carry the alerts too. Failed ones are tried again: look at broker and network. None at all while "
            "beats come in: nothing gets out.",
            "cps",
            Query("commits", added(rate("ecg_monitor_commits_total"))),
            Query("failed", added(rate("ecg_monitor_commit_failures_total"))),
        ),
        lines(
            "Since the last commit, by instance",
            "Rises while no beats come in. While they do: this instance gets nothing out; see broker and failures.",
            "s",
            Query(INSTANCE, highest(age("ecg_monitor_last_delivery_timestamp_seconds"), "instance")),
        ),
        lines(
            "Steps that came to nothing",
            "Transactions that were not committed: their beats are read again, nothing is lost or doubled. A few at a "
            "rebalance; many for long: look at broker and network.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_rewinds_total"), "instance")),
        ),
        lines(
            "Records never judged",
            "Lost: deleted by retention before they were read; raise it or add instances. Shed: older than "
            "MONITOR_MAX_AGE_SECONDS.",
            "cps",
            Query("lost", added(rate("ecg_monitor_lost_records_total"))),
            Query("shed", added(rate("ecg_monitor_shed_records_total"))),
            steps=NEVER,
        ),
        lines(
            "Offset resets",
            "Partitions whose next offset was gone: retention overtook the monitor. Raise it, or add instances.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_offset_resets_total"), "instance")),
            steps=NEVER,
        ),
        lines(
            "Ignored records",
            "Control: orders that make no sense. State: episode state that cannot be read, its sources start afresh. "
            "The log says which and why.",
            "cps",
            Query("control", added(rate("ecg_monitor_control_ignored_total"))),
            Query("state", added(rate("ecg_monitor_state_ignored_total"))),
            steps=NEVER,
        ),
    ),
)

CLIENT = Row(
    "Kafka client",
    (
        lines(
            "Broker failures",
            "Calls to the broker that failed and are tried again. Rising: look at the broker and the network.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_broker_failures_total"), "instance")),
        ),
        lines(
            "Rebalances",
            "Changes of the partitions an instance reads, a minute. Without a roll-out: instances come and go.",
            "cpm",
            Query(INSTANCE, "60 * " + added(rate("ecg_monitor_rebalances_total"), "instance")),
        ),
        lines(
            "Reading state back",
            "How long a partition waits for its episode state, by the slowest hundredth. Seconds: a member died with "
            "its transaction open, or the state topic is not compacted. Empty: no partition changed hands.",
            "s",
            *quantiles("ecg_monitor_restore_seconds", 0.5, 0.99),
            steps=above(5, 20),
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        lines(
            "CPU",
            "Cores in use, by instance. At 1 the one thread is busy: add instances, up to the partitions.",
            "short",
            Query(INSTANCE, added(of_monitors(rate("process_cpu_seconds_total")), "instance")),
        ),
        lines(
            "Memory",
            "Resident, by instance. Level after the first minutes; steady growth is a leak.",
            "bytes",
            Query(INSTANCE, added(of_monitors(select("process_resident_memory_bytes")), "instance")),
        ),
        lines(
            "GPU fallbacks",
            "Batches that did not fit into GPU memory and were halved or scored on the CPU. Any: lower "
            "MONITOR_BATCH_SIZE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_device_fallbacks_total"), "instance")),
            steps=NEVER,
        ),
    ),
    is_collapsed=True,
)

ROWS = (RUNNING, WORKING, INGEST, INFERENCE, SCORES, DELIVERY, CLIENT, PROCESS)
