"""The panels of the dashboard "ECG monitor — overview": rows in the order in which beats flow."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.flow import ALARMS, FORWARDING, INFERENCE, INGEST, PROFILES, SCORES
from deploy.grafana.panel import INSTANCE, NEVER, PLAIN, PRESENT, PanelRow, Query, above, lines, name, number, text
from deploy.grafana.promql import added, age, highest, of_monitors, quantiles, rate, select

READING = """\
**Read from the top. Start at the first red panel.** Its description tells you what to do.
For one instance and its partitions, click a line, or *ECG monitor — instance* above.
Each alert has a runbook in `docs/runbooks`. Everything else is in `docs/operations.md`.
"""

RUNNING = PanelRow(
    "What runs",
    (
        text("", READING, width=7),
        name(
            "Version",
            "If there is more than one for longer than a roll-out takes, finish the roll-out or undo it.",
            Query("{{version}}", f"count by (version) ({select('ecg_monitor_build_info')})"),
            width=3,
        ),
        name(
            "Model",
            "The model in use and its device. More than one for longer than a roll-out takes: the result for a beat "
            "depends on the instance.",
            Query("{{model_id}} on {{device}}", f"count by (model_id, device) ({select('ecg_monitor_model_info')})"),
            width=4,
        ),
        name(
            "Group",
            "Consumer group and delivery mode. Two modes in one group: the instances have different settings.",
            Query("{{group_id}}, {{delivery}}", f"count by (group_id, delivery) ({select('ecg_monitor_config_info')})"),
            width=4,
        ),
        number(
            "Threshold",
            "Score above which a beat is abnormal, for all sources. If instances differ, the highest.",
            "none",
            Query("Threshold", highest(select("ecg_monitor_threshold"))),
            PLAIN,
        ),
        number(
            "Set by control record",
            "Offset of the record in ecg.control that set the threshold. `ecg-monitor threshold show` shows who set it "
            "and why. -1: the threshold is from the model or from the setting.",
            "none",
            Query("Version", highest(select("ecg_monitor_threshold_version"))),
            PLAIN,
        ),
    ),
)

WORKING = PanelRow(
    "Is it working",
    (
        number(
            "Monitors up",
            "Instances that answered the last scrape. Fewer than were started: read the log of the missing one.",
            "none",
            Query("up", f"{added(of_monitors(select('up')))} or vector(0)"),
            PRESENT,
        ),
        number(
            "Not ready",
            "Instances that cannot raise alerts now. For minutes: their page /readyz shows which part is not ready.",
            "none",
            Query("not ready", f"count({select('ecg_monitor_ready')} == 0) or vector(0)"),
            NEVER,
        ),
        number(
            "Broker reachable",
            "No: at least one instance waits for the broker. It continues by itself when the broker can be reached.",
            "bool_yes_no",
            Query("reachable", f"min({select('ecg_monitor_broker_up')})"),
            PRESENT,
        ),
        number(
            "Partitions read",
            "By all instances together. Fewer than the topic has, for minutes: the group is stuck in a rebalance.",
            "none",
            Query("partitions", added(select("ecg_monitor_assigned_partitions"))),
            PRESENT,
        ),
        number(
            "Lag",
            "Age of the last scored beat in the slowest partition that has lag. Alerts are late by this time.",
            "s",
            Query("lag", highest(select("ecg_monitor_lag_seconds"))),
            above(10, 60),
        ),
        number(
            "Last step",
            "Time since the slowest instance finished a step. Red: it hangs; restart it and keep its log.",
            "s",
            Query("age", highest(age("ecg_monitor_last_step_timestamp_seconds"))),
            above(30, 120),  # /healthz fails at 120 s
        ),
        number(
            "Longest standstill",
            "Longest time since any partition moved on or had nothing to read. Red: the partition is stuck; restart "
            "the instance that reads it.",
            "s",
            Query("age", highest(age("ecg_monitor_partition_last_progress_timestamp_seconds"))),
            above(20, 60),  # /healthz fails at 60 s
        ),
        number(
            "Last records",
            "Time since any instance received records. High while the rest is green: no records are published.",
            "s",
            Query("age", f"min({age('ecg_monitor_last_beats_timestamp_seconds')})"),
            above(60, 600),
        ),
    ),
)

DELIVERY = PanelRow(
    "Delivery",
    (
        lines(
            "Commits and failures",
            "Commits include the alerts. Failed ones are retried: check broker and network. If there are none while "
            "beats arrive, no alert is delivered.",
            "cps",
            Query("commits", added(rate("ecg_monitor_commits_total"))),
            Query("failed", added(rate("ecg_monitor_commit_failures_total"))),
        ),
        lines(
            "Since the last commit, by instance",
            "It rises while no beats arrive. If beats arrive, nothing is delivered; see broker and failures.",
            "s",
            Query(INSTANCE, highest(age("ecg_monitor_last_delivery_timestamp_seconds"), "instance")),
        ),
        lines(
            "Steps not committed",
            "Steps whose transaction failed. Their beats are read again; nothing is lost or duplicated. A few at a "
            "rebalance are normal. If there are many for long, check broker and network.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_rewinds_total"), "instance")),
        ),
        lines(
            "Records never scored",
            "Lost: deleted by retention before they were read; raise the retention or add instances. Shed: older than "
            "MONITOR_MAX_AGE_SECONDS.",
            "cps",
            Query("lost", added(rate("ecg_monitor_lost_records_total"))),
            Query("shed", added(rate("ecg_monitor_shed_records_total"))),
            steps=NEVER,
        ),
        lines(
            "Offset resets",
            "Partitions whose next record was deleted by retention. Raise the retention, or add instances.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_offset_resets_total"), "instance")),
            steps=NEVER,
        ),
        lines(
            "Ignored records",
            "Control: control records that are not valid. State: episode state or profiles that cannot be read; their "
            "sources start without. The log shows which records, and why.",
            "cps",
            Query("control", added(rate("ecg_monitor_control_ignored_total"))),
            Query("state", added(rate("ecg_monitor_state_ignored_total"))),
            steps=NEVER,
        ),
    ),
)

CLIENT = PanelRow(
    "Kafka client",
    (
        lines(
            "Broker failures",
            "Calls to the broker that failed and are retried. If it rises, check the broker and the network.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_broker_failures_total"), "instance")),
        ),
        lines(
            "Rebalances",
            "Changes per minute of the partitions that an instance reads. Many without a roll-out: instances restart.",
            "cpm",
            Query(INSTANCE, "60 * " + added(rate("ecg_monitor_rebalances_total"), "instance")),
        ),
        lines(
            "Time to restore state",
            "How long a partition waits for its episode state and profiles, p50 and p99. Seconds: a member ended with "
            "its transaction open, or one of the two topics is not compacted. Empty: no partition was assigned.",
            "s",
            *quantiles("ecg_monitor_restore_seconds", 0.5, 0.99),
            steps=above(5, 20),
        ),
    ),
)

PROCESS = PanelRow(
    "Process",
    (
        lines(
            "CPU",
            "Cores in use, by instance. From 1 the loop is busy: add instances, up to the number of partitions.",
            "short",
            Query(INSTANCE, added(of_monitors(rate("process_cpu_seconds_total")), "instance")),
        ),
        lines(
            "Memory",
            "Resident memory, by instance. It should be constant after the first minutes. Steady growth is a leak.",
            "bytes",
            Query(INSTANCE, added(of_monitors(select("process_resident_memory_bytes")), "instance")),
        ),
        lines(
            "GPU fallbacks",
            "Batches that did not fit into GPU memory and were halved or scored on the CPU. If there are any, lower "
            "MONITOR_BATCH_SIZE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_device_fallbacks_total"), "instance")),
            steps=NEVER,
        ),
    ),
    is_collapsed=True,
)

ROWS = (RUNNING, WORKING, INGEST, INFERENCE, SCORES, ALARMS, PROFILES, DELIVERY, FORWARDING, CLIENT, PROCESS)
