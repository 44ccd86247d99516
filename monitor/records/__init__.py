"""Columns of Kafka records, the messages and the checkpoint of a step, and strict JSON. Imports no Kafka client.

A record here is a record of Kafka, not an ECG recording. `monitor.beats` reads files of beats.
"""
