"""The errors a user can meet, each with the exit code that the command line ends with."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BadRowsError",
    "DataRefusedError",
    "JobFileError",
    "MmdistError",
    "MultipleJobFileError",
    "Place",
    "ResourceError",
    "StopRequestedError",
    "StorageError",
    "TrainingFailedError",
    "UsageError",
    "WorkerLostError",
    "words_of",
]


@dataclass(frozen=True)
class Place:
    """Where something is wrong: a file, and in it a line and column (both from 1), a key or a row."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        position = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        parts = [position] if position else []
        if self.key is not None:
            parts.append(f"key {self.key}")
        if self.row is not None:
            parts.append(f"row {self.row}")
        return ", ".join(parts)


class MmdistError(Exception):
    """An error with its cause and cure. Raised as it stands, it means a bug in mmdist.

    Args:
        message: What is wrong, in one sentence.
        expected: What would have been accepted.
        received: What was found instead.
        place: Where it was found.
        remedy: What to do about it.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        received: str | None = None,
        place: Place | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.received = received
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place is not None and str(self.place) else ""
        lines = [f"{where}{self.message}"]
        for name, text in (("expected", self.expected), ("received", self.received), ("to do", self.remedy)):
            if text is not None:
                lines.append(f"  {name}: {text}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders on Ray; the default would drop the keyword-only parts.
        return _rebuild, (type(self), self.message, self.expected, self.received, self.place, self.remedy)


def _rebuild(
    kind: type[MmdistError],
    message: str,
    expected: str | None,
    received: str | None,
    place: Place | None,
    remedy: str | None,
) -> MmdistError:
    return kind(message, expected=expected, received=received, place=place, remedy=remedy)


class UsageError(MmdistError):
    """The command line is wrong: exit 2."""

    exit_code = 2


class JobFileError(MmdistError):
    """The job file is wrong: exit 2."""

    exit_code = 2


class MultipleJobFileError(JobFileError):
    """Several errors of one job file; `errors` has them in the order of their places."""

    def __init__(self, errors: Sequence[JobFileError]) -> None:
        super().__init__(f"{len(errors)} errors in the job file")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errors,)


class DataRefusedError(MmdistError):
    """The data cannot be used, or lost more rows than the job allows: exit 3."""

    exit_code = 3


class BadRowsError(DataRefusedError):
    """More rows cannot be used than the job bears. The job is as it is: only a new run helps, and no resume."""


class ResourceError(MmdistError):
    """The cluster, a GPU, memory or disk is not there: exit 4."""

    exit_code = 4


class StorageError(ResourceError):
    """Storage refused or failed an operation: exit 4."""


class TrainingFailedError(MmdistError):
    """Training diverged or its proof failed: exit 5."""

    exit_code = 5


class WorkerLostError(MmdistError):
    """A worker was lost and the retries are spent: exit 6."""

    exit_code = 6


class StopRequestedError(MmdistError):
    """The user asked to stop: exit 130."""

    exit_code = 130


def words_of(error: BaseException) -> str:
    """What a library's error says, for `received`: its words in one line, without the name that programs know it by."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if not text.strip() or isinstance(error, KeyError):  # a KeyError says nothing but the key
        return f"{type(error).__name__} {text}".strip()
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
