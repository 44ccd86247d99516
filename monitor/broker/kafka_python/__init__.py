"""The Kafka client on kafka-python: it needs no compiled library, and is installed with the core.

All code that uses private parts of kafka-python 3.0.12 is here too. No other package may; `tests/test_private_parts.py`
checks. It corrects defects; nothing private is used for speed. When one byte of the client's files differs from what
`known_versions` knows, none of these patches is applied, and one warning says so. `patches` imports the modules that
need the client's internal ones, and only when a patch is applied: a client that has renamed those runs on its own code.

Each row: module; what it does; the defect of kafka-python 3.0.12; what holds without it; the test that fails without
it.

- `bootstrap`: gives up at once when every server refuses for good, and says why. The client tries until its time limit,
  then says only that it could not connect. Without: a time-out, and a sentence without the cause.
  tests/e2e/test_security.py.
- `bootstrap`: ends the client's IO thread after a failed attempt. The client leaves its IO thread and its sockets
  behind. Without: each failed attempt leaks a thread. tests/broker/kafka_python/test_bootstrap.py.
- `sockets.receive`: returns what a broker sends before it closes a connection. The client drops bytes that come
  together with the end. Without: the broker's reason is missing in about half of the cases.
  tests/broker/kafka_python/test_sockets.py.
- `tls_sockets`: closes a socket whose TLS handshake failed. The client leaves it open. Without: each failed attempt
  leaks a socket until the garbage collector finds it. tests/broker/kafka_python/test_tls_sockets.py.
- `batches`: reads records whose header names are not UTF-8. `poll` of the client raises on such a record and never
  returns from its next call. Without: such a record stops its partition, with an error.
  tests/contract/test_kafka.py, test_a_header_name_that_is_not_utf8_does_not_stop_its_partition.
- `batches`, `inflation`: set a batch aside that inflates to more than 64 MiB, and a record of more than 1 MB or with
  thousands of headers. The client takes all the memory that the batch asks for. Without: a record of 400 MB, 12 KB on
  the wire, takes two gigabytes. tests/contract/test_hostile_records.py.
- `step_bytes`: ends a poll at a number of bytes. The client counts records alone. Without: a step of large records
  takes gigabytes. tests/contract/test_hostile_records.py.
- `fair_poll`: lets partitions take turns, and reads on one that was paused and resumed. The client may keep what it has
  fetched of such a partition, and never return that or fetch more. Without: a flood of junk in one partition holds up
  the others. tests/broker/kafka_python/test_fair_poll.py.
- `transactional`: limits the wait for offsets, commit and abort. The client waits without a limit. Without: a
  coordinator that never answers blocks the loop, `/healthz` reports it, and the supervisor restarts the process.
  tests/broker/kafka_python/test_transactional.py.
- `transactional`: closes a failed producer at once. `close` of the client waits for messages that cannot be sent.
  Without: closing takes its whole time limit. tests/broker/kafka_python/test_transactional.py.
- `transactional`: reads the error that ended a producer. Later calls of the client raise a plain KafkaError. Without:
  the sentence about a replay that was overtaken by another is less exact. tests/e2e/test_dead_letters_replay.py.
"""
