"""Every setting, read once from the variables `MONITOR_*` and the file `.env`. No other module reads them."""

from __future__ import annotations

import difflib
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from monitor.env_file import check_env_file
from monitor.errors import RefusedError
from monitor.validation import first_error

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "MONITOR_"
DOTENV = ".env"
MAX_PASSWORD_BYTES = 64 * 1024
MAX_PORT = 65535


class Settings(BaseSettings):
    """All settings. The field `name` is the variable `MONITOR_NAME`; the documents quote the descriptions."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=DOTENV, extra="ignore", frozen=True, str_strip_whitespace=True
    )

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1, description="Kafka's addresses, comma separated")
    model: Path = Field(Path("model.safetensors"), description="the model file that `ecg-trainer ecg` wrote")
    group_id: str = Field("ecg-monitor", min_length=1, description="consumer group; its members share the partitions")
    instance: str = Field(
        default_factory=socket.gethostname, min_length=1, description="stable name of this process (default: host name)"
    )
    beats_topic: str = Field("ecg.beats", min_length=1, description="where beats come from")
    alerts_topic: str = Field("ecg.alerts", min_length=1, description="where alerts go")
    scores_topic: str = Field(
        "ecg.scores", min_length=1, description="where each beat's score goes, if MONITOR_SCORES is set"
    )
    dead_letters_topic: str = Field("ecg.dead-letters", min_length=1, description="where records that are not beats go")
    control_topic: str = Field("ecg.control", min_length=1, description="where thresholds are changed")
    state_topic: str = Field("", description="where episode state is kept (default: `<group id>.state`)")
    profiles_topic: str = Field("", description="where sources' profiles are kept (default: `<group id>.profiles`)")
    delivery: Literal["exactly-once", "at-least-once"] = Field(
        "exactly-once", description="`exactly-once`, or `at-least-once` for brokers without transactions"
    )
    offset_reset: Literal["earliest", "latest"] = Field(
        "earliest", description="where a group without committed offsets begins"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`auto`, `cpu`, `cuda` or `cuda:N`: where beats are scored; a GPU needs the extra `gpu`",
    )
    batch_size: int = Field(16384, ge=1, le=65536, description="most beats judged in one step")
    kafka_client: Literal["auto", "confluent", "kafka-python"] = Field(
        "auto", description="Kafka library; `auto`: confluent-kafka where it is installed, else kafka-python"
    )
    max_wait_ms: int = Field(
        20,
        ge=0,
        le=10000,
        description="how long the broker may collect beats (up to 64 KiB) for one fetch; below 5: not at all",
    )
    threshold: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="score above which a beat is abnormal (default: the model's)"
    )
    scores: bool = Field(False, description="write the score of each beat to the scores topic")
    profiles: bool = Field(
        True, description="judge each source by its own profile, where the model's beats are cut around R"
    )
    profile_seconds: float = Field(
        300, ge=120, le=86_400, allow_inf_nan=False, description="first seconds with beats from which a source learns"
    )
    forget_hours: float = Field(
        24,
        ge=1,
        le=8760,
        allow_inf_nan=False,
        description="hours without a beat after which a profile is dropped, and an alarm `no-signal` closes",
    )
    rule: Literal["run", "k-of-n"] = Field(
        "run",
        description="what opens an episode of a source with a profile: three beats in a row by its personal score "
        "(`run`), or `MONITOR_EPISODE_OPEN` by the model's (`k-of-n`)",
    )
    sensitivity: Literal["quiet", "normal", "sensitive"] = Field(
        "normal", description="how unlike their source the three beats of `run` have to be: much (`quiet`) or less"
    )
    frequent_ectopy: bool = Field(
        True,
        description="whether many single beats unlike their source, as in bigeminy, open an episode of low priority, "
        "where `run` decides",
    )
    episode_open: int = Field(3, ge=1, description="abnormal beats that open an episode")
    episode_window: int = Field(5, ge=1, le=64, description="… among this many last beats")
    episode_close: int = Field(5, ge=1, description="normal beats in a row that close it")
    episode_silence_seconds: float = Field(
        60, gt=0, allow_inf_nan=False, description="stream time without a beat of the source that closes it as silent"
    )
    no_signal_seconds: float = Field(
        30,
        ge=0,
        allow_inf_nan=False,
        description="the same of a source with a profile, for the alarm `no-signal`: at most as long (0: never)",
    )
    latch_high: bool = Field(
        True, description="whether an alarm of high priority stays until somebody acknowledges it, also when it is over"
    )
    remind_seconds: float = Field(
        180,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="stream time after which an acknowledged alarm that is still on is announced again; 0: it is not",
    )
    max_age_seconds: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="records older than this are counted and left out, to catch up (default: none are)",
    )
    commit_interval_ms: int = Field(
        1000, ge=0, description="how often offsets are committed when there is nothing else to deliver"
    )
    session_timeout_ms: int = Field(45000, ge=1000, description="how long the group waits for a silent member")
    broker_timeout_seconds: float = Field(
        1800,
        gt=0,
        allow_inf_nan=False,
        description="how long the broker may be unavailable before exit 1; at start 60 at most",
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="address of `/metrics`, `/healthz` and `/readyz`")
    http_port: int = Field(9108, ge=0, le=65535, description="their port; 0 takes a free one and logs it")
    forward_url: SecretStr = Field(
        SecretStr(""), description="where `ecg-monitor forward` sends alarms, without `--url`; shown nowhere"
    )
    forward_group_id: str = Field(
        "", description="its consumer group (default: `<group id>.forward.alertmanager` or `.webhook`)"
    )
    forward_patient_data: bool = Field(
        False, description="whether the receiver gets the source, and a webhook the beat as well"
    )
    forward_resend_seconds: float = Field(
        60, ge=1, le=3600, allow_inf_nan=False, description="how often Alertmanager gets what is on"
    )
    forward_forget_hours: float = Field(
        168, ge=1, le=8760, allow_inf_nan=False, description="hours after its last event until an alarm is not repeated"
    )
    forward_timeout_seconds: float = Field(
        10, ge=0.1, le=60, allow_inf_nan=False, description="how long one request to the receiver may take"
    )
    forward_token_file: Path | None = Field(
        None, description="file with the bearer token for the receiver; read for each request"
    )
    forward_cafile: Path | None = Field(
        None, description="certificates to trust of the receiver (default: the system's)"
    )
    forward_dead_letters: Path | None = Field(
        None,
        description="file of refused events (default: `forward-dead-letters.alertmanager.jsonl` or `.webhook.jsonl`)",
    )
    forward_http_port: int = Field(9109, ge=0, le=65535, description="port of the forwarder's own pages")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the broker"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="how to log in; `OAUTHBEARER` with confluent-kafka alone"
    )
    sasl_username: str = Field("", description="user name; with `OAUTHBEARER` the client id")
    sasl_password: SecretStr = Field(
        SecretStr(""), description="password, with `OAUTHBEARER` the client secret; better in a file"
    )
    sasl_password_file: Path | None = Field(None, description="file that holds the password")
    sasl_token_url: str = Field("", description="with `OAUTHBEARER`: where tokens come from (OIDC, client credentials)")
    sasl_scope: str = Field("", description="with `OAUTHBEARER`: the scope to ask for, where the provider wants one")
    ssl_cafile: Path | None = Field(None, description="certificates to trust")
    ssl_certfile: Path | None = Field(None, description="our certificate, for mutual TLS")
    ssl_keyfile: Path | None = Field(None, description="its key")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")
    log_format: Literal["text", "json"] = Field("text", description="one line a record, as text or JSON")

    @field_validator(
        *("sasl_password_file", "ssl_cafile", "ssl_certfile", "ssl_keyfile", "forward_token_file", "forward_cafile"),
        mode="before",
    )
    @classmethod
    def _unset(cls, path: Any) -> Any:
        """An empty variable means that no path is set. pathlib would read it as the current folder."""
        return path or None

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, servers: str) -> str:
        """Refuse what is no address. Some clients take any number for a port, and never get an answer."""
        for server in map(str.strip, servers.split(",")):
            found = re.fullmatch(r"(\w+://)?(\[[\da-fA-F:.%\w]+\]|[^\s:/\[\]]+)(:(?P<port>[0-9]{1,5}))?", server)
            if not found or not 0 < int(found["port"] or 1) <= MAX_PORT:
                raise ValueError(f"{server[:100]!r} is not HOST:PORT with a port from 1 to {MAX_PORT}")
        return servers

    @model_validator(mode="after")
    def _check(self) -> Settings:
        if self.episode_open > self.episode_window:
            raise ValueError(
                f"MONITOR_EPISODE_OPEN={self.episode_open} can never be reached within "
                f"MONITOR_EPISODE_WINDOW={self.episode_window}: lower the one or raise the other"
            )
        self._check_topics()
        self._check_security()
        self._check_tokens()
        return self

    def _check_topics(self) -> None:
        """Refuse what Kafka does not take, and one name for two topics: the monitor would read what it writes."""
        names = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_topic")}
        names |= self._row_topics()
        users: dict[str, str] = {}
        for name, topic in names.items():
            setting = f"{PREFIX}{name.upper()}"
            if not re.fullmatch(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}", topic):
                raise ValueError(
                    f"{setting}: {topic[:100]!r} cannot be the name of a topic: Kafka takes up to 249 of a-z, A-Z, "
                    "0-9, '.', '_' and '-'"
                )
            if topic in users:
                raise ValueError(f"{users[topic]} and {setting} are both {topic}: give each a topic of its own")
            users[topic] = setting
        if (ledger := f"{self.dead_letters_topic}.replayed") in users:
            raise ValueError(f"{users[ledger]} is {ledger}, which is the ledger of replayed dead letters")

    def _check_security(self) -> None:
        """Refuse a password or a certificate that the security protocol would not use, and an incomplete login."""
        protocol = f"MONITOR_SECURITY_PROTOCOL={self.security_protocol}"
        password, file = self.sasl_password.get_secret_value(), self.sasl_password_file
        word = "MONITOR_SASL_PASSWORD_FILE" if file else "MONITOR_SASL_PASSWORD"
        login = {"MONITOR_SASL_USERNAME": self.sasl_username, word: password or file}
        files = {"_CAFILE": self.ssl_cafile, "_CERTFILE": self.ssl_certfile, "_KEYFILE": self.ssl_keyfile}
        if password and file:
            raise ValueError("MONITOR_SASL_PASSWORD and MONITOR_SASL_PASSWORD_FILE are both set: keep one of them")
        for name, value in login.items():
            if value and not self.security_protocol.startswith("SASL"):
                raise ValueError(f"{name} is set, and {protocol} uses no login: set SASL_SSL, or take it out")
            if not value and self.security_protocol.startswith("SASL"):
                raise ValueError(f"{protocol} needs a login, and {name} is not set (a password better as a file)")
        for name, path in files.items():
            if path and not self.security_protocol.endswith("SSL"):
                raise ValueError(f"MONITOR_SSL{name} is set, and {protocol} uses no TLS: set SSL or SASL_SSL")
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("MONITOR_SSL_KEYFILE is set without MONITOR_SSL_CERTFILE: set the certificate as well")

    def _check_tokens(self) -> None:
        """Refuse settings of OAUTHBEARER that do not fit together."""
        is_token = self.sasl_mechanism == "OAUTHBEARER" and self.security_protocol.startswith("SASL")
        if is_token != bool(self.sasl_token_url):
            raise ValueError(
                "MONITOR_SASL_MECHANISM=OAUTHBEARER and MONITOR_SASL_TOKEN_URL go together: set both or neither"
            )
        if self.sasl_scope and not is_token:
            raise ValueError("MONITOR_SASL_SCOPE is set, and only OAUTHBEARER uses it: take it out")
        if is_token and self.kafka_client == "kafka-python":
            raise ValueError("MONITOR_SASL_MECHANISM=OAUTHBEARER needs MONITOR_KAFKA_CLIENT=confluent")

    @property
    def state_topic_name(self) -> str:
        """The name of the state topic; by default it follows from the group."""
        return self.state_topic or f"{self.group_id}.state"

    @property
    def profiles_topic_name(self) -> str:
        """The name of the profiles topic; by default it follows from the group."""
        return self.profiles_topic or f"{self.group_id}.profiles"

    def _row_topics(self) -> dict[str, str]:
        """The names of the topics that follow from the group by default."""
        return {"state_topic": self.state_topic_name, "profiles_topic": self.profiles_topic_name}

    @property
    def client_id(self) -> str:
        """How this instance's clients are called on the broker."""
        return f"ecg-monitor-{self.instance}"

    @property
    def transactional_id(self) -> str:
        """Names this instance's transactions. No two pairs of group and instance have the same one."""
        return f"{self.group_id.replace('%', '%25').replace(':', '%3A')}:{self.instance}"

    def password(self) -> str:
        """The SASL password, from its file where one is set. Raises RefusedError for a file that holds none."""
        path = self.sasl_password_file
        if path is None:
            return self.sasl_password.get_secret_value()
        try:
            with path.open("rb") as file:
                password = file.read(MAX_PASSWORD_BYTES).decode().strip()
        except OSError as error:
            raise RefusedError(f"MONITOR_SASL_PASSWORD_FILE={path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise RefusedError(
                f"MONITOR_SASL_PASSWORD_FILE={path}: this is not UTF-8 text"
            ) from None  # it quotes bytes
        if not password:
            raise RefusedError(f"MONITOR_SASL_PASSWORD_FILE={path}: there is no password in it")
        return password

    def shown(self) -> dict[str, str]:
        """Names and values of all settings for people, with every secret masked."""
        values = self.model_dump() | self._row_topics()
        return {f"{PREFIX}{name.upper()}": "" if value is None else str(value) for name, value in values.items()}

    def env_lines(self) -> Iterator[str]:
        """The settings as lines of a file `.env`; those that are not set, and secrets, as comments."""
        for name, value in self.shown().items():
            is_secret = isinstance(getattr(self, name.removeprefix(PREFIX).lower()), SecretStr)
            yield f"{'# ' if is_secret or not value else ''}{name}={_quoted(value)}"


def read(**overrides: Any) -> Settings:
    """The settings of this process. `overrides` replace the environment's values, and those replace `.env`'s.

    Raises RefusedError, naming the variable, for an unknown `MONITOR_*` name or a value out of range, and for a `.env`
    that cannot be read.
    """
    check_env_file(Path(DOTENV))
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for place, names in (("the environment", os.environ), (DOTENV, dotenv_values(DOTENV))):
        unknown = sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known)
        if unknown:
            raise RefusedError(
                f"{unknown[0]} in {place} is not a setting of the monitor: {_nearest(unknown[0], known)}"
            )
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise RefusedError(first_error(error, lambda field: f"{PREFIX}{field.upper()}")) from None


def _quoted(value: str) -> str:
    """The value as `.env` has it: in quotes where it has other than plain characters."""
    if re.fullmatch(r"[\w./:,@%+=*-]*", value, re.ASCII):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    return f"did you mean {close[0]}?" if close else "remove it (`ecg-monitor check` lists the settings)"
