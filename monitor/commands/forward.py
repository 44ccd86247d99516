"""The command `forward`: alarms to Alertmanager or to a webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor import settings

if TYPE_CHECKING:
    from monitor.forward.service import Kind


@click.command()
@click.option(
    "--to", "kind", type=click.Choice(["alertmanager", "webhook"]), required=True, help="What kind of receiver it is."
)
@click.option("--url", help="Where it is, such as http://alertmanager:9093.  [default: MONITOR_FORWARD_URL]")
def forward(*, kind: Kind, url: str | None) -> None:
    """Send alarms to another system until it is stopped.

    Reads alerts from Kafka in a group of its own. Alertmanager gets what is on again each minute, and the end of each
    alarm. A webhook gets each event once or more as a CloudEvent. While the receiver is unavailable nothing is lost.
    Neither a patient's name nor a beat is sent, unless MONITOR_FORWARD_PATIENT_DATA says so.
    """
    from monitor.forward import service  # noqa: PLC0415 - loads the Kafka client, which no help needs

    service.run(settings.read(**({} if url is None else {"forward_url": url})), kind)
