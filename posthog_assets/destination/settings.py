"""Which PostHog project gets the events, and how fast.

Belongs here: the `destination` section of the import file. Does not belong here: talking to PostHog.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator

from posthog_assets.core.errors import ImportFileError
from posthog_assets.core.sections import OptionalHttpUrl, Section

#: Hosts that take events for PostHog Cloud: us.i.posthog.com, eu.i.posthog.com.
_CLOUD: Final = ".i.posthog.com"

#: The hosts of its app, which the SDK replaces, end like this.
_CLOUD_APP: Final = ".posthog.com"

#: PostHog's own importer sends 1,000 events a second into a project that others share with it.
_CLOUD_RATE: Final = 2_000.0


class Protocol(StrEnum):
    """The two ways of sending a batch of events."""

    V1 = "v1"
    BATCH = "batch"


class Destination(Section):
    """The PostHog project that gets the events.

    Host and key may be empty while the code location loads, so that exports can be looked at before there is a
    project; sending without them is refused with a sentence.
    """

    host: OptionalHttpUrl = Field(None, description="Ingestion host, such as https://eu.i.posthog.com")
    project_api_key: SecretStr | None = Field(None, description="The project's key, phc_…")
    protocol: str = Field("auto", pattern="^(auto|v1|batch)$", description="auto | v1 | batch")
    personal_api_key: SecretStr | None = Field(None, description="phx_…, scope query:read; enables verification")
    project_id: str | None = Field(None, description="Number of the project, needed with personal_api_key")
    batch_events: int = Field(5_000, ge=1, le=50_000, description="Most events in one request")
    batch_bytes: int = Field(
        8 << 20, ge=1 << 20, le=9 << 20, description="Most bytes in one request, before compression"
    )
    concurrency: int = Field(4, ge=1, le=32, description="Requests in flight; one person's events never overtake")
    max_events_per_second: float | None = Field(
        None, gt=0, description="Most events per second; absent: 2,000 into PostHog Cloud, else no limit"
    )
    max_requests_per_second: float | None = Field(None, gt=0, description="Most requests per second; absent: no limit")
    timeout_seconds: float = Field(60, gt=0, description="Longest wait for one answer")
    retry_seconds: float = Field(
        300, ge=0, description="How long one batch may keep failing before the day is given up for now"
    )
    historical_migration: bool = Field(True, description="PostHog's flag for history; without it events are billed")
    recent_events: str = Field(
        "send",
        pattern="^(send|hold_back)$",
        description="send | hold_back events younger than 48 h, which PostHog bills as live",
    )
    new_group_types: list[str] = Field(
        default_factory=list,
        description="Group types that the project may get from this import; it has five, and keeps each for ever",
    )
    allow_duplicates: bool = Field(
        False, description="Send acknowledged events whose de-duplication key changed; PostHog keeps both versions"
    )
    resend_persons: bool = Field(
        False,
        description="Whether an event that PostHog has, and that is sent again because it changed, sets properties of "
        "its person again; an old value would overwrite a newer one",
    )
    landing_seconds: float = Field(600, ge=0, description="How long to wait until events show up in queries")

    @field_validator("project_id", mode="before", json_schema_input_type=str | int | None)
    @classmethod
    def _is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @property
    def verifies(self) -> bool:
        """Whether there is a personal key to look with."""
        return bool(self.personal_api_key and self.personal_api_key.get_secret_value() and self.project_id)

    @property
    def is_cloud(self) -> bool:
        """Whether events go to PostHog Cloud."""
        name = urlsplit(_server_of(self.host)).hostname if self.host else None
        return name is not None and name.endswith(_CLOUD)

    @property
    def events_per_second(self) -> float | None:
        """Most events per second over all workers of the import: as set, or what does not hurt; None: no limit."""
        return self.max_events_per_second or (_CLOUD_RATE if self.is_cloud else None)

    def ingestion_host(self) -> str:
        """Return the URL that takes events; the app's own hosts are replaced as PostHog's SDK does.

        Raises:
            ImportFileError: no host is set.
        """
        if not self.host:
            raise ImportFileError(
                "destination.host is empty: set it to your PostHog's ingestion host, such as "
                "https://us.i.posthog.com (or set the environment variable the import file names)"
            )
        return _server_of(self.host).rstrip("/")

    def look_key(self) -> str:
        """Return the personal key.

        Raises:
            ImportFileError: it, or the project's number, is missing or cannot be one.
        """
        key = self.personal_api_key.get_secret_value().strip() if self.personal_api_key else ""
        if not key or not self.project_id:
            raise ImportFileError(
                "destination.personal_api_key and destination.project_id are needed to look into PostHog"
            )
        if not key.isascii() or not key.isprintable() or not self.project_id.isalnum():
            raise ImportFileError(
                "destination.personal_api_key must be visible ASCII characters, project_id the project's number"
            )
        return key

    def app_host(self) -> str:
        """Return the URL that answers queries: on PostHog Cloud not the host that takes events."""
        parts = urlsplit(self.ingestion_host())
        host = parts.hostname or ""
        if host.endswith(".i.posthog.com"):
            return urlunsplit((parts.scheme, host.replace(".i.posthog.com", ".posthog.com"), "", "", ""))
        return self.ingestion_host()

    def write_key(self) -> str:
        """Return the project key.

        Raises:
            ImportFileError: it is missing, or has a shape PostHog refuses.
        """
        key = self.project_api_key.get_secret_value().strip() if self.project_api_key else ""
        if not key:
            raise ImportFileError(
                "destination.project_api_key is empty: set it to the project's key (phc_…, PostHog > Project "
                "settings), or set the environment variable the import file names"
            )
        # The rules of PostHog's capture service: rust/capture/src/token.rs
        if key.startswith("phx_"):
            raise ImportFileError(
                "destination.project_api_key is a personal key (phx_…); events need the project's key (phc_…)"
            )
        if len(key) > 64 or not key.isascii() or not key.isprintable():
            raise ImportFileError(
                "destination.project_api_key cannot be a project key: it must be at most 64 visible ASCII characters"
            )
        return key


def _server_of(host: str) -> str:
    """Return the server that events for *host* go to, by the rule of PostHog's own SDK."""
    name = urlsplit(host).hostname or ""
    if name.endswith(_CLOUD) or not name.endswith(_CLOUD_APP):
        return host
    # More than a second of processor time to import, only to learn that any other host stays as it is.
    from posthog.request import determine_server_host

    return determine_server_host(host)
