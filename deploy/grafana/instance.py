"""The panels of «ECG monitor — instance»: one process and its partitions, or several side by side."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.loop import DELIVERY, LOOP, ONE, SCORES
from deploy.grafana.panel import INSTANCE, NEVER, PLAIN, PRESENT, Query, Row, above, lines, name, number
from deploy.grafana.promql import OF_PARTITION, added, age, highest, of_monitors, rate, select

PARTITION = "{{instance}} / {{partition}}"
EACH = ("instance", "partition")


def _now(metric: str) -> Query:
    return Query(INSTANCE, highest(select(metric), *ONE))


STATE = Row(
    "State",
    (
        number(
            "Ready",
            "1: a beat would raise its alarm. 0: ask the instance's /readyz, it says which part is not.",
            "bool_yes_no",
            _now("ecg_monitor_ready"),
            PRESENT,
        ),
        number(
            "Healthy",
            "0: the loop or a partition stands still, /healthz says which. Restart it and keep its log.",
            "bool_yes_no",
            _now("ecg_monitor_healthy"),
            PRESENT,
        ),
        number(
            "In its group",
            "0 for minutes: the group is stuck, or another member is; see rebalances.",
            "bool_yes_no",
            _now("ecg_monitor_joined"),
            PRESENT,
        ),
        number(
            "Broker reachable",
            "0: this instance waits for the broker. Only this one: its network.",
            "bool_yes_no",
            _now("ecg_monitor_broker_up"),
            PRESENT,
        ),
        number(
            "Partitions",
            "Read here. 0 for long: more instances than partitions.",
            "none",
            _now("ecg_monitor_assigned_partitions"),
            PLAIN,
        ),
        number(
            "Running for",
            "Since the process began. Minutes, again and again: it restarts in a loop; read how its log ends.",
            "s",
            Query(INSTANCE, highest(of_monitors(age("process_start_time_seconds")), *ONE)),
            PLAIN,
        ),
        number(
            "Since the last step",
            "Red: the loop hangs; restart the instance and keep its log.",
            "s",
            Query(INSTANCE, highest(age("ecg_monitor_last_step_timestamp_seconds"), *ONE)),
            above(30, 120),
        ),
        number(
            "Threshold version",
            "Offset of the control record that set the threshold for all sources, -1: none did. Behind the other "
            "instances for long: this one does not read the control topic; its log says why.",
            "none",
            _now("ecg_monitor_threshold_version"),
            PLAIN,
        ),
    ),
)

IDENTITY = Row(
    "What it is",
    (
        name(
            "Name and rule",
            "MONITOR_INSTANCE, and when episodes open and close. Rules that differ in a group: a setting does.",
            Query(
                "{{instance}}: {{name}}, {{episode}}",
                f"count by (instance, name, episode) ({select('ecg_monitor_config_info')})",
            ),
            width=9,
        ),
        name(
            "Delivery and batch",
            "How it delivers, and MONITOR_BATCH_SIZE: what a step holds at most.",
            Query(
                "{{delivery}}, {{batch_size}}",
                f"count by (delivery, batch_size) ({select('ecg_monitor_config_info')})",
            ),
            width=5,
        ),
        name(
            "Model and device",
            "What is served, and where.",
            Query("{{model_id}} on {{device}}", f"count by (model_id, device) ({select('ecg_monitor_model_info')})"),
            width=6,
        ),
        name(
            "Version",
            "Of the monitor.",
            Query("{{version}}", f"count by (version) ({select('ecg_monitor_build_info')})"),
            width=4,
        ),
    ),
)

PARTITIONS = Row(
    "Partitions",
    (
        lines(
            "Beats, by partition",
            "Judged. One far above the rest: its sources are many; Kafka spreads sources by key.",
            "cps",
            Query(PARTITION, added(rate("ecg_monitor_partition_beats_total", OF_PARTITION), *EACH)),
            width=6,
        ),
        lines(
            "Lag in seconds",
            "Age of the last judged beat; 0 without lag. This is how late the partition's alerts are.",
            "s",
            Query(PARTITION, highest(select("ecg_monitor_lag_seconds", OF_PARTITION), *EACH)),
            width=6,
            steps=above(10, 60),
        ),
        lines(
            "Lag in records",
            "Between the last judged one and the partition's end.",
            "short",
            Query(PARTITION, highest(select("ecg_monitor_lag_records", OF_PARTITION), *EACH)),
            width=6,
        ),
        lines(
            "Since it moved on",
            "Or had nothing to read. Rising alone: the partition is stuck; restart the instance and keep its log. All "
            "of them rising: the broker is away, or the loop hangs.",
            "s",
            Query(
                PARTITION,
                highest(age("ecg_monitor_partition_last_progress_timestamp_seconds", OF_PARTITION), *EACH),
            ),
            width=6,
            steps=above(20, 60),
        ),
    ),
)

PROCESS = Row(
    "Process, Python and GPU",
    (
        lines(
            "CPU",
            "Cores in use. From 1 on the loop is busy; scoring and delivery beside it may make it 2.",
            "short",
            Query(INSTANCE, added(of_monitors(rate("process_cpu_seconds_total")), *ONE)),
        ),
        lines(
            "Memory",
            "Resident. Level after the first minutes; steady growth is a leak.",
            "bytes",
            Query(INSTANCE, added(of_monitors(select("process_resident_memory_bytes")), *ONE)),
        ),
        lines(
            "Open files",
            "Sockets included. Steady growth: connections are not let go.",
            "short",
            Query(INSTANCE, added(of_monitors(select("process_open_fds")), *ONE)),
        ),
        lines(
            "Garbage collections, by generation",
            "A second. The oldest more than once in some minutes: objects pile up.",
            "cps",
            Query("{{generation}}", added(of_monitors(rate("python_gc_collections_total")), "generation")),
        ),
        lines(
            "GPU memory",
            "Of the device that serves; empty on a CPU. Reserved near the total: lower MONITOR_BATCH_SIZE.",
            "bytes",
            Query("{{instance}} {{kind}}", added(select("ecg_monitor_gpu_memory_bytes"), "instance", "kind")),
        ),
        lines(
            "GPU fallbacks",
            "Batches that did not fit into GPU memory. Any: lower MONITOR_BATCH_SIZE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_device_fallbacks_total"), *ONE)),
            steps=NEVER,
        ),
    ),
    is_collapsed=True,
)

ROWS = (STATE, IDENTITY, PARTITIONS, LOOP, SCORES, DELIVERY, PROCESS)
