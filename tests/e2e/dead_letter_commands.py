"""Dead letters on new topics, and the commands `ecg-monitor dead-letters …` run on them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import numpy as np
from click.testing import CliRunner
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from monitor import cli
from monitor.beats.parse import Rejected
from monitor.broker import Publisher
from monitor.deadletters import letter
from monitor.records.column import Column
from monitor.records.record import Records
from tests.e2e.daemon import TOPICS, clean_environment, read_all

SMALL = "import monitor.commands.dead_letters as l; from monitor import cli; l.CHUNK_LETTERS = 5; cli.main()"


class DeadLetterCommands:
    """Writes dead letters, runs the commands, and reads the topics."""

    def __init__(self, settings):
        self.settings = settings
        names = ("bootstrap_servers", "delivery", *TOPICS)
        own = {f"MONITOR_{name.upper()}": str(getattr(settings, name)) for name in names}
        self.environment = clean_environment() | own

    def run(self, *arguments, code=0):
        """Standard output and standard error of `ecg-monitor dead-letters …`."""
        done = CliRunner().invoke(cli.commands, ["dead-letters", *arguments], env=self.environment)
        assert done.exit_code == code, done.output
        return done.stdout, done.stderr

    def start(self, code=SMALL):
        """A replay in a process of its own, in small transactions."""
        command = [sys.executable, "-c", code, "dead-letters", "replay"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def write(self, letters):
        with closing(Publisher(self.settings)) as publisher:
            for message in letters:
                publisher.send(message)
            publisher.flush()

    def limit_beats(self, size):
        """Let the broker refuse beats of more than so many bytes."""
        resource = ConfigResource("TOPIC", self.settings.beats_topic, {"max.message.bytes": str(size)})
        with closing(KafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)) as admin:
            admin.alter_configs([resource])

    def letter(self, value, reason="not-json", *, key=b"bed", headers=(), topic=None, partition=0):
        at = [np.array([number]) for number in (partition, 7, 1000)]
        records = Records(topic or self.settings.beats_topic, *at, Column.of((key,)), Column.of((value,)), (headers,))
        now_ms = int(1000 * time.time())
        return letter.dead_letter(records, Rejected(0, reason, "no good"), self.settings.dead_letters_topic, now_ms)

    def beats(self):
        return read_all(self.settings, self.settings.beats_topic)

    def values(self):
        return Counter(record.value for record in self.beats())


def put_back(summary):
    """The number of letters that were put back, from the summary."""
    return int(summary.partition(": ")[2].partition(";")[0])
