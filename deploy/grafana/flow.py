"""The overview's panels for ingest, scoring, alarms and what is forwarded of them."""  # noqa: INP001 - no package: run from the root

from __future__ import annotations

from deploy.grafana.panel import (
    INSTANCE,
    NEVER,
    PLAIN,
    PanelRow,
    Query,
    above,
    heatmap,
    layers,
    lines,
    name,
    number,
)
from deploy.grafana.promql import added, age, at_most, highest, quantiles, rate, select, share

INGEST = PanelRow(
    "Ingest",
    (
        lines(
            "Beats",
            "Beats read and scored, by instance. If the line is at 0 while beats are published, see lag and last step.",
            "cps",
            Query(INSTANCE, added(rate("ecg_monitor_beats_total"), "instance")),
        ),
        lines(
            "Lag in seconds, by partition",
            "Age of the last scored beat, 0 without lag. If only one partition lags, its instance is stuck or it has "
            "many sources. If all lag, add instances, up to the number of partitions.",
            "s",
            Query("{{partition}}", highest(select("ecg_monitor_lag_seconds"), "partition")),
            steps=above(10, 60),
        ),
        lines(
            "Lag in records, by partition",
            "Records after the last committed one. If they grow, add instances, up to the number of partitions. Held "
            "back: behind an open transaction of a publisher; if they stay, end it.",
            "short",
            Query("{{partition}}", highest(select("ecg_monitor_lag_records"), "partition")),
            Query("{{partition}} held back", highest(select("ecg_monitor_held_back_records"), "partition")),
        ),
        lines(
            "Dead letters, by reason",
            "Records that are not beats. If it rises, a publisher sends wrong data: `ecg-monitor dead-letters list`.",
            "cps",
            Query("{{reason}}", added(rate("ecg_monitor_dead_letters_total"), "reason")),
        ),
        lines(
            "Dead letters, share",
            "Share of all records that are not beats. Low: one faulty publisher. High: a format was changed.",
            "percentunit",
            Query(
                "dead letters",
                f"{added(rate('ecg_monitor_dead_letters_total'))} / "
                f"({added(rate('ecg_monitor_dead_letters_total'))} + {added(rate('ecg_monitor_beats_total'))})",
            ),
            steps=above(0.01, 0.2),
        ),
        lines(
            "Unscorable beats, by cause",
            "Valid beats that cannot be scored, for example flat ones. If it rises, check electrodes and gain.",
            "cps",
            Query("{{cause}}", added(rate("ecg_monitor_unscorable_beats_total"), "cause")),
        ),
    ),
)

INFERENCE = PanelRow(
    "Inference",
    (
        lines(
            "Step time",
            "From receiving records to acknowledged delivery, without waiting for records. If a step takes as long as "
            "a batch takes to arrive, the monitor is at its capacity.",
            "s",
            *quantiles("ecg_monitor_step_seconds", 0.5, 0.9, 0.99),
        ),
        layers(
            "Time by stage",
            "Share of the loop's time in each stage, mean of the instances. The rest up to 1 is waiting for records. "
            "Near 1: add instances. Improve the largest stage: for score MONITOR_DEVICE, for deliver the broker.",
            "percentunit",
            Query("{{stage}}", f"avg by (stage) ({rate('ecg_monitor_stage_seconds_sum')})"),
        ),
        lines(
            "Records in a step",
            "Low: the monitor keeps up. Equal to MONITOR_BATCH_SIZE: it works off a backlog.",
            "short",
            Query("mean", share("ecg_monitor_batch_beats_sum", "ecg_monitor_batch_beats_count")),
            *quantiles("ecg_monitor_batch_beats", 0.5, 0.99),
        ),
    ),
)

SCORES = PanelRow(
    "Scores and alarms",
    (
        heatmap(
            "Scores",
            "Beats per second in each band of the reconstruction error; the label is the band's upper edge. Normal: "
            "two groups, one on each side of the threshold.",
            Query("{{le}}", added(rate("ecg_monitor_score_bucket"), "le")),
        ),
        lines(
            "Score quantiles and threshold",
            "p50 is the score of a typical beat. If it rises slowly on normal patients, recalibrate.",
            "short",
            *quantiles("ecg_monitor_score", 0.5, 0.9, 0.99),
            Query("threshold", highest(select("ecg_monitor_threshold"))),
            width=12,
        ),
        lines(
            "Abnormal beats, share",
            "Share of all scored beats, and the share that the calibration expects for normal beats. Far above it on "
            "normal patients: wrong model or threshold.",
            "percentunit",
            Query("abnormal", share("ecg_monitor_abnormal_beats_total", "ecg_monitor_beats_total")),
            Query("expected for normal beats", highest(select("ecg_monitor_expected_abnormal_ratio"))),
        ),
        lines(
            "Drift: beats by p-value, share",
            "On normal patients one beat in 100 has p ≤ 0.01, one in 20 p ≤ 0.05, one in two p ≤ 0.5. If "
            "the shares rise slowly, patients or leads differ from those of the calibration: recalibrate.",
            "percentunit",
            *(Query(f"p ≤ {edge}", at_most("ecg_monitor_p_value", edge)) for edge in ("0.01", "0.05", "0.5")),
        ),
        lines(
            "Alerts, by kind and event",
            "Alerts per minute, acknowledged by the broker. More opened than closed: open episodes grow.",
            "cpm",
            Query("{{kind}} {{event}}", "60 * " + added(rate("ecg_monitor_alerts_total"), "kind", "event")),
        ),
        lines(
            "Open episodes, by kind",
            "Sources in alarm now. Technical: check electrodes and gain. Physiological: look at the trace.",
            "none",
            Query("{{kind}}", added(select("ecg_monitor_episodes"), "kind")),
        ),
        lines(
            "Alert latency",
            "From the beat's timestamp to the acknowledged alert. If high, see lag and step time. Empty: no alerts.",
            "s",
            *quantiles("ecg_monitor_alert_latency_seconds", 0.5, 0.99),
            steps=above(10, 60),
        ),
        lines(
            "Thresholds of single sources; clocks ahead",
            "Sources with their own threshold: `ecg-monitor threshold show` lists them. Clocks ahead: alerts per "
            "minute whose beat has a timestamp in the future; correct the publisher's clock.",
            "none",
            Query("sources", highest(select("ecg_monitor_source_thresholds"))),
            Query("clocks ahead", "60 * " + added(rate("ecg_monitor_clock_skewed_alerts_total"))),
            Query("far ahead of others", "60 * " + added(rate("ecg_monitor_far_ahead_beats_total"))),
        ),
    ),
)

ALARMS = PanelRow(
    "Alarms that are on",
    (
        lines(
            "Alarms, by priority",
            "On or latched, of both kinds; what a pause holds back does not count. `ecg-monitor alarms` lists them.",
            "none",
            Query(
                "{{priority}}, acknowledged: {{acknowledged}}",
                added(select("ecg_monitor_alarms"), "priority", "acknowledged"),
            ),
        ),
        lines(
            "Oldest that nobody has acknowledged",
            "Age by the time of its beat. High and above 15 minutes: see the runbook of "
            "EcgMonitorAlarmNotAcknowledged. No data: all are acknowledged, or none is on.",
            "s",
            Query("{{priority}}", highest(age("ecg_monitor_unacknowledged_since_timestamp_seconds"), "priority")),
            steps=above(300, 900),
        ),
        lines(
            "Alarms at each bed and day",
            "Openings of the last minutes for 100,000 beats, which a bed has in a day. For hours above 100: see the "
            "runbook of EcgMonitorAlarmBurden.",
            "none",
            Query(
                "{{kind}}",
                "100000 * "
                + added(rate("ecg_monitor_alerts_total", 'event="opened"'), "kind")
                + " / on () group_left () "
                + added(rate("ecg_monitor_beats_total")),
            ),
        ),
    ),
)

PROFILES = PanelRow(
    "Profiles",
    (
        lines(
            "Sources with a profile, and learning ones",
            "Learned: judged by their own profile. Learning: judged by the model meanwhile. Empty or 0 while beats "
            "arrive: the model is not for beats around R, or MONITOR_PROFILES is false.",
            "none",
            Query("{{state}}", added(select("ecg_monitor_profiles"), "state")),
        ),
        lines(
            "Learned while in doubt",
            "Sources whose first beats may not have been their normal. `ecg-monitor profile show` draws each; after "
            "the patient is well, `ecg-monitor profile reset` begins again.",
            "none",
            Query("sources", added(select("ecg_monitor_sick_profiles"))),
        ),
        lines(
            "What happened to profiles",
            "Per minute. Many not-learned: check electrodes. Many learned long after the start: sources were silent "
            "for MONITOR_FORGET_HOURS, or were reset. Changed-conduction: a new kind of beat lasts at one source.",
            "cpm",
            Query("{{kind}}", "60 * " + added(rate("ecg_monitor_profile_notices_total"), "kind")),
        ),
    ),
)

FORWARDING = PanelRow(
    "Forwarding",
    (
        name(
            "Forwarders",
            "Jobs that send alarms to another system, with the kind of its receiver. No data: none runs, and nothing "
            "here counts. Two versions for longer than a roll-out takes: finish it.",
            Query(
                "{{job}} to {{to}}, {{version}}", f"count by (job, to, version) ({select('ecg_monitor_forward_info')})"
            ),
            width=12,
        ),
        number(
            "Forwarders not ready",
            "An alarm would not reach the receiver through them now. Their page /readyz at port 9109 says why.",
            "none",
            Query("not ready", added(f"1 - {select('ecg_monitor_forward_ready')}")),
            NEVER,
        ),
        number(
            "Alerts behind",
            "Alerts that are not dealt with yet. If it grows, the receiver is slow or unavailable.",
            "none",
            Query("lag", added(select("ecg_monitor_forward_lag_records"))),
            PLAIN,
        ),
        number(
            "Alarms on at the receiver",
            "Alarms that are sent to Alertmanager again and again. 0 with a webhook.",
            "none",
            Query("on", added(select("ecg_monitor_forward_open_alarms"))),
            PLAIN,
        ),
        number(
            "Refused a minute",
            "Events that the receiver refused, and records that are no alerts. The dead letters and the log have them.",
            "none",
            Query(
                "refused",
                f"60 * ({added(rate('ecg_monitor_forward_dead_letters_total'))}"
                f" + {added(rate('ecg_monitor_forward_ignored_total'))})",
            ),
            NEVER,
        ),
        lines(
            "Waiting for the receiver",
            "Age of the oldest event that the receiver has not dealt with: so late are alarms. Above 60 s somebody is "
            "paged. See the runbook of EcgMonitorForwarderBehind.",
            "s",
            Query("{{job}}", highest(select("ecg_monitor_forward_waiting_seconds"), "job")),
            steps=above(10, 60),
        ),
        lines(
            "Events forwarded",
            "Events that the receiver took. Repeats tell Alertmanager again what is on; none for minutes while alarms "
            "are on there: it takes them for resolved after 15 minutes.",
            "cpm",
            Query("{{job}}", "60 * " + added(rate("ecg_monitor_forward_events_total"), "job")),
            Query("{{job}} repeats", "60 * " + added(rate("ecg_monitor_forward_repeats_total"), "job")),
        ),
        lines(
            "Retries, dead letters and ignored records",
            "Retries: requests that failed; the receiver is unavailable, or URL or token are wrong. Dead letters: "
            "events that it refused for good. Ignored: somebody else writes to the alerts topic. The log says why.",
            "cpm",
            Query("{{job}} retries", "60 * " + added(rate("ecg_monitor_forward_retries_total"), "job")),
            Query("{{job}} dead letters", "60 * " + added(rate("ecg_monitor_forward_dead_letters_total"), "job")),
            Query("{{job}} ignored", "60 * " + added(rate("ecg_monitor_forward_ignored_total"), "job")),
        ),
    ),
)
