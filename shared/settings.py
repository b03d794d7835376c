"""Where a service finds its broker, database, secrets and neighbours: variables `BANKA_…`.

Secrets are files, never variables: a variable shows in process lists and crash reports.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(StrEnum):
    """What a process is allowed to do: only outside production may time be stepped."""

    PRODUCTION = "production"
    DEMO = "demo"
    TEST = "test"


class SettingsError(RuntimeError):
    """A setting or secret is missing or wrong; the message is one line that says what to do."""


# how an operator makes each secret; named in the error when its file is missing
_HOW_TO_MAKE = {
    "bank-key": "make it once, keep it apart from the database's backups: openssl rand -base64 32",
    "session-key": "make it: openssl rand -base64 48",
    "office-key.json": "make it: python -m shared.privacy.jwe new-key",
    "sms-token": "the SMS provider gives it",
}


class Settings(BaseSettings):
    """The settings of one process; the same names locally, in tests and in compose."""

    model_config = SettingsConfigDict(
        env_prefix="BANKA_",
        env_ignore_empty=True,  # compose passes on what is not set as an empty text
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    service: str = ""  # intake | review | notify | reporting, or the name of a tool
    environment: Environment = Environment.PRODUCTION

    kafka_bootstrap: str = ""  # host:port[,host:port…]
    kafka_user: str = ""  # default: the service's name
    kafka_security: Literal["SASL_PLAINTEXT", "PLAINTEXT"] = "SASL_PLAINTEXT"
    kafka_mechanism: Literal["SCRAM-SHA-512"] = "SCRAM-SHA-512"

    postgres_dsn: str = ""  # postgresql://host:port, without a user
    secrets_dir: Path = Path("/run/secrets")
    documents_url: str = ""  # obstore URL: file:///…, s3://…

    # names this process among the replicas of its service, and stays the same when it is restarted:
    # the broker then gives it its partitions back at once; never the same for two processes
    instance: str = ""

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0: any free port

    # seconds before a call to another system is tried again, doubled each time; the demo hurries
    call_backoff: Annotated[float, Field(gt=0, le=60)] = 0.5

    # of what the policy would decide alone, the share that a person looks at by chance; without it,
    # 1 % of a bank's and nothing of a demo's or a test's, whose days are known beforehand
    sampled_share: Annotated[float, Field(ge=0, le=1)] | None = None

    # minutes without a click after which people have to sign in again
    session_idle: Annotated[int, Field(ge=5, le=720)] = 60

    clock_file: Path | None = None  # the stepped business clock; demo and test only
    parameters: Path | None = None  # folder of products, clocks, words; by default those that ship
    business_zone: str = "Asia/Shanghai"  # IANA name; decides which business day an instant is in

    # where customers find their own page, as slips name it; by default the gateway's origin
    customer_url: str = ""

    identity_url: str = ""
    bureau_url: str = ""
    watchlist_url: str = ""
    sms_url: str = ""
    smtp_host: str = ""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    app_message_url: str = ""

    @field_validator("postgres_dsn")
    @classmethod
    def _no_user_in_dsn(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
                raise ValueError("must be postgresql://host:port")
            if parts.username or parts.password:
                raise ValueError("names no user: each service adds its own role and password")
        return value

    @field_validator("business_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not an IANA time zone") from None
        return value

    @model_validator(mode="after")
    def _real_time_in_production(self) -> Self:
        if self.clock_file is not None and self.environment is Environment.PRODUCTION:
            raise ValueError("clock_file steps the business clock; production refuses it")
        return self

    @model_validator(mode="after")
    def _by_chance_in_production(self) -> Self:
        if self.sampled_share == 0 and self.environment is Environment.PRODUCTION:
            raise ValueError(
                "sampled_share 0 would tell whom it still names: production refuses it"
            )
        return self

    @model_validator(mode="after")
    def _user_is_service(self) -> Self:
        if not self.kafka_user and self.service:
            # frozen against its users, not against its own defaults
            object.__setattr__(self, "kafka_user", self.service)
        return self

    @property
    def stepped(self) -> bool:
        """Whether the business clock is moved by a driver (demo and tests)."""
        return self.clock_file is not None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.business_zone)

    def required(self, name: str) -> str:
        """A setting that this process needs; raises SettingsError naming its variable."""
        value = str(getattr(self, name))
        if not value:
            raise SettingsError(f"BANKA_{name.upper()} is not set")
        return value

    def secret(self, name: str) -> str:
        """The content of a secret's file, stripped; raises SettingsError naming the file."""
        path = self.secrets_dir / name
        try:
            value = path.read_text(encoding="utf-8").strip()
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            raise SettingsError(f"secret {path}: {reason}; {how_to_make(name)}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"secret {path}: not text; {how_to_make(name)}") from None
        if not value:
            raise SettingsError(f"secret {path}: empty; {how_to_make(name)}")
        return value

    def postgres_url(self, database: str, role: str) -> str:
        """The address to connect to `database` as `role`, password included: never log it."""
        parts = urlsplit(self.required("postgres_dsn"))
        password = quote(self.secret(f"postgres-{role}"), safe="")
        return f"postgresql://{quote(role, safe='')}:{password}@{parts.netloc}/{database}"

    def kafka_password(self) -> str:
        """The SCRAM password of `kafka_user`."""
        return self.secret(f"kafka-{self.kafka_user}")


def how_to_make(name: str) -> str:
    """One clause on where a secret comes from."""
    if name.startswith(("kafka-", "postgres-")):
        return "the provisioning step makes it"
    return _HOW_TO_MAKE.get(name, "make the file and allow this user to read it")


def load_settings(service: str) -> Settings:
    """The settings of a service from the environment.

    Raises SettingsError with one line that names each wrong variable, never its value.
    """
    try:
        return Settings(service=service)
    except ValidationError as problem:
        wrong = "; ".join(
            " ".join(
                filter(
                    None,
                    (
                        "BANKA_" + "_".join(map(str, error["loc"])).upper() if error["loc"] else "",
                        error["msg"].removeprefix("Value error, "),
                    ),
                )
            )
            for error in problem.errors(include_url=False, include_input=False)
        )
        raise SettingsError(f"settings of {service}: {wrong}") from None
