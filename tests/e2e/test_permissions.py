"""What `check` and a running monitor say of missing rights and of clocks that differ, on a broker with access lists."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

from monitor.broker import Reader, TopicPlan, check_delivery, create_topics, missing_topics
from monitor.demo.embedded_broker import free_port
from monitor.errors import BrokerError, RefusedError
from tests.brokers import Extras, kafka_from_folder
from tests.conftest import CLIENTS, settings_on
from tests.e2e.secured_kafka import PASSWORD, PLAIN_LOGIN
from tests.fakes import kafka_broker

pytestmark = pytest.mark.kafka
GROUP, TRANSACTION = "group", "transactional id"
with_each_client = pytest.mark.parametrize("client", CLIENTS)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A broker that lets the user `monitor` do only what it was granted; without a login everything is allowed."""

    open_address: str
    port: int

    def settings(self, client, **overrides):
        """Settings of that user, with new topics."""
        settings = settings_on(self.open_address, kafka_client=client)
        list(create_topics(settings, TopicPlan(1, 1, 1)))
        login = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "monitor", "sasl_password": PASSWORD}
        own = settings.model_dump(exclude={"sasl_password"}) | login | {"bootstrap_servers": f"localhost:{self.port}"}
        return settings_on(own.pop("bootstrap_servers"), **(own | overrides))

    def change(self, settings, lacking=(), *, revoke=False):
        """Grant the monitor all that it needs, but not what is `lacking`: (operation, setting or kind of resource)."""
        acls = [_acl(settings, *one) for one in NEEDED if one not in lacking]
        with closing(KafkaAdminClient(bootstrap_servers=self.open_address)) as admin:
            (admin.delete_acls if revoke else admin.create_acls)(acls)


NEEDED = [
    ("READ", "beats_topic"),
    ("READ", "control_topic"),
    ("READ", "state_topic_name"),
    ("WRITE", "state_topic_name"),
    ("WRITE", "alerts_topic"),
    ("WRITE", "dead_letters_topic"),
    ("READ", GROUP),
    ("WRITE", TRANSACTION),
]


def _acl(settings, operation, name):
    kinds = {GROUP: ResourceType.GROUP, TRANSACTION: ResourceType.TRANSACTIONAL_ID}
    names = {GROUP: settings.group_id, TRANSACTION: settings.transactional_id}
    pattern = ResourcePattern(
        kinds.get(name, ResourceType.TOPIC),
        names[name] if name in names else getattr(settings, name),
        ACLResourcePatternType.LITERAL,
    )
    return ACL("User:monitor", "*", ACLOperation[operation], ACLPermissionType.ALLOW, pattern)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    home = os.environ.get("KAFKA_HOME")
    if not home or not shutil.which("java"):
        reason = "needs an Apache Kafka folder in KAFKA_HOME, and Java"
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(reason)
    port = free_port()
    properties = (
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "listener.name.login.sasl.enabled.mechanisms=PLAIN",
        f'listener.name.login.plain.sasl.jaas.config={PLAIN_LOGIN} user_monitor="{PASSWORD}";',
    )
    extras = Extras({"LOGIN": ("SASL_PLAINTEXT", port)}, properties)
    with kafka_from_folder(Path(home).resolve(), tmp_path_factory.mktemp("guarded"), extras) as address:
        yield Guarded(address, port)


@with_each_client
def test_nothing_is_missing_where_all_is_granted(guarded, client):
    settings = guarded.settings(client)
    guarded.change(settings)
    assert missing_topics(settings) == []
    check_delivery(settings)


@with_each_client
@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        (("WRITE", "alerts_topic"), "no right Write on {0.alerts_topic}:"),
        (("WRITE", "dead_letters_topic"), "no right Write on {0.dead_letters_topic}:"),
        (("WRITE", "state_topic_name"), "no right Write on {0.state_topic_name}:"),
        (("READ", "beats_topic"), "no right Read on {0.beats_topic}:"),
        (("READ", "control_topic"), "no right Read on {0.control_topic}:"),
        (("READ", GROUP), "no right Read on group {0.group_id}:"),
        (("WRITE", TRANSACTION), "no right Write on transactional id {0.transactional_id}:"),
    ],
)
def test_a_missing_right_is_named(guarded, client, lacking, sentence):
    settings = guarded.settings(client)
    guarded.change(settings, [lacking])
    assert missing_topics(settings) == []
    with pytest.raises(RefusedError) as caught:
        check_delivery(settings)
    assert sentence.format(settings) in str(caught.value)


@with_each_client
def test_scores_need_a_right_only_where_they_are_written(guarded, client):
    settings = guarded.settings(client, scores=True)
    guarded.change(settings)
    with pytest.raises(RefusedError, match=settings.scores_topic):
        check_delivery(settings)


@with_each_client
def test_profiles_need_rights_only_where_they_are_used(guarded, client):
    settings = guarded.settings(client)
    guarded.change(settings)
    topic = settings.profiles_topic
    with pytest.raises(RefusedError, match=f"no right Read on {topic}, Write on {topic}:"):
        check_delivery(settings, profiles=True)


@with_each_client
def test_who_may_not_read_a_topic_is_told_which(guarded, client):
    settings = guarded.settings(client)
    guarded.change(settings, [("READ", "state_topic_name"), ("WRITE", "state_topic_name")])
    with (
        pytest.raises(BrokerError, match=settings.state_topic),
        Reader(settings, settings.state_topic, from_beginning=True) as reader,
    ):
        list(reader.until_end())


@with_each_client
def test_a_running_monitor_says_what_it_lacks_and_a_check_does_not_disturb_it(guarded, client):
    settings = guarded.settings(client)
    guarded.change(settings, [("WRITE", "alerts_topic")])
    with closing(kafka_broker(settings)) as broker:
        while settings.alerts_topic not in broker.obstacle():  # the rights are asked for on another thread
            broker.poll()
        while not broker.joined():
            broker.poll()
        guarded.change(settings)
        check_delivery(settings)
        broker.poll()
        assert broker.facts().rewinds == 0
