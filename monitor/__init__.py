"""The ECG monitor: a daemon that scores beats from Kafka and raises alerts."""
