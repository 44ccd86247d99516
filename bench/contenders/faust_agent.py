"""faust-streaming: an agent over `take_events`, with buffers as large as its batches."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import faust

from bench.judge import BATCH, Judge

if TYPE_CHECKING:
    from bench.case import Case, Meter


def judge(case: Case, meter: Meter) -> None:
    judge = Judge(case, meter)
    app = faust.App(
        case.group,
        broker=f"kafka://{case.address}",
        value_serializer="raw",
        key_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_max_poll_records=BATCH,
        consumer_max_fetch_size=4 * 1024 * 1024,
        stream_buffer_maxsize=2 * BATCH,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=tempfile.mkdtemp(prefix="bench-faust-"),
    )
    alerts = app.topic(case.alerts_topic, value_serializer="raw", key_serializer="raw")

    @app.agent(app.topic(case.beats_topic, value_serializer="raw", key_serializer="raw"))
    async def judging(stream: Any) -> None:
        async for events in stream.take_events(BATCH, within=0.1):
            for row, alert in judge.abnormal([event.value for event in events]):
                await alerts.send(key=events[row].key, value=alert)
            judge.done()

    app.Worker(loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()
