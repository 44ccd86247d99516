"""The panels of «ECG monitor — overview»: rows in the order that beats flow through the monitor."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.flow import INFERENCE, INGEST, SCORES
from deploy.grafana.panel import INSTANCE, NEVER, PLAIN, PRESENT, Query, Row, above, lines, name, number, text
from deploy.grafana.promql import added, age, highest, of_monitors, quantiles, rate, select

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
            "Cores in use, by instance. From 1 on the loop is busy: add instances, up to the partitions.",
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
