"""Every error that Featureplane raises on purpose.

    FeatureplaneError
    ├── InputError              what the user wrote cannot be; carries every problem found; never retried
    ├── PlanRefused             the change would break a promise (a type, an entity or a project changed)
    ├── StoreUnavailable        PostgreSQL or Redis cannot be reached or went away; retried
    │   └── OnlineStoreUnavailable  it is Redis that does not; retried
    │       └── ServerReplaced  another Redis answers than the one that confirmed rows; retried from the start
    ├── WriteRefused            Redis answers and does not take rows
    ├── TableTaken              a view's table in Cassandra is another project's
    ├── SourceError             a source cannot be read as its view says
    │   └── SourceChanged       a file was replaced while it was read; retried from the start
    ├── RegistryError           the registry answered, but not as it must
    │   ├── Fenced              another writer took over; this one must not write again
    │   ├── UntrustedRegistry   the registry holds Python code and the project does not trust it
    │   ├── UnreadableRow       a row of the project is no object of Feast's
    │   ├── SchemaTooNew        our tables are newer than this release understands
    │   └── ReadBackMismatch    what was written is not what is there now; retried
    ├── ClusterError            the Kubernetes API refused a request
    │   └── ClusterUnavailable  it does not answer, or asks to come back later; retried
    ├── ChildDied               a child process ended without an answer; retried
    └── LocalStoreError         an embedded PostgreSQL or Redis did not start, or ended by itself

`retriable` says whether the same call may succeed later with nothing changed. No message holds a secret: addresses are
shown without password, see `settings`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with what a user wrote: where it is, what it is, and what to write instead.

    `file` and `line` are empty and 0 where the object did not come from a file (a custom resource in a cluster).
    `path` is the field's path as `kubectl explain` writes it, with indices: `spec.features[2].type`.
    """

    file: str
    line: int
    path: str
    message: str
    remedy: str = ""
    reason: str = "Invalid"

    def __str__(self) -> str:
        where = ":".join(part for part in (self.file, str(self.line) if self.line else "") if part)
        text = ": ".join(part for part in (where, self.path, self.message) if part)
        return f"{text}; {self.remedy}" if self.remedy else text


class FeatureplaneError(Exception):
    """The root: whatever is not one of these is a defect of ours."""

    retriable = False


class InputError(FeatureplaneError):
    """What the user wrote is refused; nothing was applied. `problems` is never empty and in the order of the input."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PlanRefused(FeatureplaneError):
    """The difference holds a change that is never made in place."""

    def __init__(self, refusals: Sequence[str]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("\n".join(self.refusals))


class StoreUnavailable(FeatureplaneError):
    """PostgreSQL or Redis did not answer. The message names the store and its address, never a password."""

    retriable = True


class OnlineStoreUnavailable(StoreUnavailable):
    """It is Redis that did not answer, and no other store."""


class ServerReplaced(OnlineStoreUnavailable):
    """Behind the address is not the server, or not the data, that confirmed rows: the copy must begin anew."""


class WriteRefused(FeatureplaneError):
    """Redis answered and does not take the rows; trying again would not help. What it holds is as it was."""


class TableTaken(FeatureplaneError):
    """The table that would be a view's is that of another project's view."""


class SourceError(FeatureplaneError):
    """A source cannot be read as its view says. The message names the source and what to write instead."""


class SourceChanged(SourceError):
    """A file was replaced while it was read; what was read so far may be of either."""

    retriable = True


class RegistryError(FeatureplaneError):
    """The registry answered with something it must not hold."""


class Fenced(RegistryError):
    """A newer writer holds this project's epoch: this process has lost the right to write."""


class UntrustedRegistry(RegistryError):
    """The registry holds Python code, which Feast would execute on reading it."""


class UnreadableRow(RegistryError):
    """A row of Feast's tables that is no message of its kind; others of the project wait until somebody mends it."""


class SchemaTooNew(RegistryError):
    """The `featureplane` schema was migrated by a newer release than this one."""


class ReadBackMismatch(RegistryError):
    """An object was applied and the registry holds something else: another process wrote at the same time."""

    retriable = True


class ClusterError(FeatureplaneError):
    """The Kubernetes API refused a request; the message names the object and holds the API server's words."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        # Nothing can be made in a namespace that is on its way out.
        self.is_end_of_namespace = "because it is being terminated" in message
        super().__init__(message)


class ClusterUnavailable(ClusterError):
    """The Kubernetes API does not answer, or not now (429, 5xx, a conflict)."""

    retriable = True


class ChildDied(FeatureplaneError):
    """A child process of ours ended before it answered."""

    retriable = True


class LocalStoreError(FeatureplaneError):
    """An embedded store did not start, or ended by itself; the message holds the last lines of its log."""
