"""The panels of the dashboard "ECG monitor — instance": one or more processes and their partitions."""  # noqa: INP001 - no package

from __future__ import annotations

from deploy.grafana.loop import DELIVERY, LOOP, ONE, SCORES
from deploy.grafana.panel import INSTANCE, NEVER, PLAIN, PRESENT, PanelRow, Query, above, lines, name, number
from deploy.grafana.promql import OF_PARTITION, added, age, highest, of_monitors, rate, select

PARTITION = "{{instance}} / {{partition}}"
EACH = ("instance", "partition")


def _now(metric: str) -> Query:
    return Query(INSTANCE, highest(select(metric), *ONE))


STATE = PanelRow(
    "State",
    (
        number(
            "Ready",
            "Yes: beats can raise alerts. No: the instance's page /readyz shows which part is not ready.",
            "bool_yes_no",
            _now("ecg_monitor_ready"),
            PRESENT,
        ),
        number(
            "Healthy",
            "No: the loop or a partition makes no progress; /healthz shows which. Restart it and keep its log.",
            "bool_yes_no",
            _now("ecg_monitor_healthy"),
            PRESENT,
        ),
        number(
            "In its group",
            "No for minutes: the group or one of its members is stuck; see rebalances.",
            "bool_yes_no",
            _now("ecg_monitor_joined"),
            PRESENT,
        ),
        number(
            "Broker reachable",
            "No: this instance waits for the broker. If the other instances reach it, check this one's network.",
            "bool_yes_no",
            _now("ecg_monitor_broker_up"),
            PRESENT,
        ),
        number(
            "Partitions",
            "Partitions that the instance reads. 0 for long: there are more instances than partitions.",
            "none",
            _now("ecg_monitor_assigned_partitions"),
            PLAIN,
        ),
        number(
            "Running for",
            "Time since the process started. If it stays low, the process keeps restarting: read the end of its log.",
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
            "Offset of the control record that set the threshold for all sources; -1: there is none. Below the other "
            "instances for long: this one does not read the control topic; its log gives the reason.",
            "none",
            _now("ecg_monitor_threshold_version"),
            PLAIN,
        ),
    ),
)

IDENTITY = PanelRow(
    "Identity",
    (
        name(
            "Name and rule",
            "MONITOR_INSTANCE and the episode rule. If rules differ in a group, the instances have different settings.",
            Query(
                "{{instance}}: {{name}}, {{episode}}",
                f"count by (instance, name, episode) ({select('ecg_monitor_config_info')})",
            ),
            width=9,
        ),
        name(
            "Delivery and batch",
            "Delivery mode, and MONITOR_BATCH_SIZE: the most records in a step.",
            Query(
                "{{delivery}}, {{batch_size}}",
                f"count by (delivery, batch_size) ({select('ecg_monitor_config_info')})",
            ),
            width=5,
        ),
        name(
            "Model and device",
            "The model in use, and the device that it runs on.",
            Query("{{model_id}} on {{device}}", f"count by (model_id, device) ({select('ecg_monitor_model_info')})"),
            width=6,
        ),
        name(
            "Version",
            "Version of the monitor.",
            Query("{{version}}", f"count by (version) ({select('ecg_monitor_build_info')})"),
            width=4,
        ),
    ),
)

PARTITIONS = PanelRow(
    "Partitions",
    (
        lines(
            "Beats, by partition",
            "Beats scored per second. A partition far above the others has many sources; Kafka assigns sources by key.",
            "cps",
            Query(PARTITION, added(rate("ecg_monitor_partition_beats_total", OF_PARTITION), *EACH)),
            width=6,
        ),
        lines(
            "Lag in seconds",
            "Age of the last scored beat, 0 without lag. The partition's alerts are late by this time.",
            "s",
            Query(PARTITION, highest(select("ecg_monitor_lag_seconds", OF_PARTITION), *EACH)),
            width=6,
            steps=above(10, 60),
        ),
        lines(
            "Lag in records",
            "Records after the last committed one; held back: behind an open transaction of a publisher.",
            "short",
            Query(PARTITION, highest(select("ecg_monitor_lag_records", OF_PARTITION), *EACH)),
            Query(f"{PARTITION} held back", highest(select("ecg_monitor_held_back_records", OF_PARTITION), *EACH)),
            width=6,
        ),
        lines(
            "Since the last progress",
            "Time since the partition moved on or had nothing to read. If one rises, it is stuck: restart the instance "
            "and keep its log. If all rise, the broker cannot be reached or the loop hangs.",
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

PROCESS = PanelRow(
    "Process, Python and GPU",
    (
        lines(
            "CPU",
            "Cores in use. From 1 the loop is fully busy; with scoring and delivery in other threads it can be 2.",
            "short",
            Query(INSTANCE, added(of_monitors(rate("process_cpu_seconds_total")), *ONE)),
        ),
        lines(
            "Memory",
            "Resident memory. It should be constant after the first minutes. Steady growth is a leak.",
            "bytes",
            Query(INSTANCE, added(of_monitors(select("process_resident_memory_bytes")), *ONE)),
        ),
        lines(
            "Open files",
            "Including sockets. Steady growth: connections are not closed.",
            "short",
            Query(INSTANCE, added(of_monitors(select("process_open_fds")), *ONE)),
        ),
        lines(
            "Garbage collections, by generation",
            "Per second. If the oldest generation is collected more than once in some minutes, objects accumulate.",
            "cps",
            Query("{{generation}}", added(of_monitors(rate("python_gc_collections_total")), "generation")),
        ),
        lines(
            "GPU memory",
            "Memory of the GPU in use; empty on a CPU. If reserved is near the total, lower MONITOR_BATCH_SIZE.",
            "bytes",
            Query("{{instance}} {{kind}}", added(select("ecg_monitor_gpu_memory_bytes"), "instance", "kind")),
        ),
        lines(
            "GPU fallbacks",
            "Batches that did not fit into GPU memory. If there are any, lower MONITOR_BATCH_SIZE.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_device_fallbacks_total"), *ONE)),
            steps=NEVER,
        ),
    ),
    is_collapsed=True,
)

ROWS = (STATE, IDENTITY, PARTITIONS, LOOP, SCORES, DELIVERY, PROCESS)
