"""Alerts to other systems: Alertmanager, or a webhook in CloudEvents. See `docs/forwarding.md`."""
