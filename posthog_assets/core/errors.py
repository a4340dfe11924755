"""Every error this package raises on purpose, drawn as a tree that says who can do what about it.

    PosthogAssetsError
    ├── ImportFileError          the import file or a setting is wrong: a person edits it
    ├── SourceError              the history could not be fetched or read
    │   ├── NoExport             there is no export for this day (an empty export is not an error)
    │   ├── SourceRefused        the source refuses the request (credentials, range): a person acts
    │   ├── BrokenPart           an exported file cannot be read to its end: export it again
    │   └── SourceUnavailable    the source did not answer: try again later            (temporary)
    ├── MissingUpstream          a partition this step reads does not exist: materialize it first
    ├── MappingError             the mapping (or the user's own hook) failed on this day
    ├── DeliveryError            PostHog did not take the events
    │   ├── Refused              PostHog refuses the request itself (key, host, quota): a person acts
    │   ├── Unavailable          PostHog did not answer, or asked to wait: try again later (temporary)
    │   ├── KeyWouldChange       re-sending would leave permanent duplicates: a person decides
    │   └── GroupTypesRefused    the project would get group types for ever, or drop them: a person decides
    ├── VerificationError        PostHog's query API refused, or events have not landed
    │   └── LookUnavailable      PostHog's query API did not answer: look again later        (temporary)
    ├── StorageError             the storage does not take what must be written, or lost it: a person acts
    │   ├── DamagedFile          a stored file is cut off or altered: restore it, or make it again
    │   └── StorageUnavailable   the storage did not answer: try again later           (temporary)
    └── PartitionBusy            another run works on the same partition               (temporary)
        └── PartitionLost        this run was stopped, and another one may have taken over (temporary)

`temporary` says whether running the same thing again can help; everything else waits for a person. `retry_after` says
how many seconds the server asked to be left alone, where that is known.
Messages are written for the person who must act and never contain a credential.
"""

from __future__ import annotations

from posthog_assets.core.secrets import without_credentials


class PosthogAssetsError(Exception):
    """Base of all errors raised on purpose by this package."""

    temporary = False

    def __init__(self, *words: object, retry_after: float | None = None) -> None:
        # What is wrong is quoted, and what is quoted may hold a password.
        super().__init__(*(without_credentials(word) if isinstance(word, str) else word for word in words))
        self.retry_after = retry_after


class ImportFileError(PosthogAssetsError):
    """The import file, or a setting in it, is wrong."""


class SourceError(PosthogAssetsError):
    """The history could not be fetched or read."""


class NoExport(SourceError):
    """The source has no export for this day."""


class SourceRefused(SourceError):
    """The source refuses the request itself; asking again cannot help."""


class BrokenPart(SourceError):
    """An exported file cannot be read to its end (truncated, corrupt, wrong format)."""


class SourceUnavailable(SourceError):
    """The source did not answer; trying again may help."""

    temporary = True


class MissingUpstream(PosthogAssetsError):
    """A partition this step reads has not been materialized."""


class MappingError(PosthogAssetsError):
    """The mapping, or the user's own transform, failed."""


class DeliveryError(PosthogAssetsError):
    """PostHog did not take the events."""


class Refused(DeliveryError):
    """PostHog refuses the request itself; sending it again cannot help."""


class Unavailable(DeliveryError):
    """PostHog did not answer or asked to wait, for longer than the retry budget."""

    temporary = True


class KeyWouldChange(DeliveryError):
    """Events acknowledged earlier would be stored a second time under another de-duplication key."""


class GroupTypesRefused(DeliveryError):
    """The events name group types that the project does not have; nothing was sent."""


class VerificationError(PosthogAssetsError):
    """PostHog's query API refused, or events have not landed."""


class KeyRefused(VerificationError):
    """PostHog does not let the personal key ask that: the key is wrong, or lacks a scope or the project."""


class LookUnavailable(VerificationError):
    """PostHog's query API did not answer; looking again may help."""

    temporary = True


class StorageError(PosthogAssetsError):
    """The storage cannot be written (full, over quota, read-only), or what is in it cannot be read."""


class DamagedFile(StorageError):
    """A file of the storage is cut off, altered or not what it should be."""


class StorageUnavailable(StorageError):
    """The storage did not answer, several times."""

    temporary = True


class PartitionBusy(PosthogAssetsError):
    """Another run is working on the same partition."""

    temporary = True


class PartitionLost(PartitionBusy):
    """This run no longer holds its partition: another one may have taken over."""


def shorten(value: object, limit: int = 200) -> str:
    """Return *value* as text of at most *limit* characters, for use inside a message."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):
        # Nested too deep, or an integer of more digits than Python writes.
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_temporary(name: str) -> bool | None:
    """Return whether the error class called *name* is temporary; None where it is none of ours."""
    found = globals().get(name)
    return found.temporary if isinstance(found, type) and issubclass(found, PosthogAssetsError) else None
