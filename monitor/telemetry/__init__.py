"""Metrics, the recorder that updates them, health verdicts and the HTTP server that shows both."""
