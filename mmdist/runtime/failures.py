"""Turns whatever a job raised into an error of our own tree, and errors into records and back."""

import builtins
from typing import Any

from mmdist import errors
from mmdist.errors import JobFileError, MmdistError, MultipleJobFileError, Place, ResourceError, WorkerLostError

__all__ = ["error_from_record", "error_record", "has_died", "new_workers_may_help", "unwrap", "worker_failures"]

WRAPPED = ("cause", "controller_failure", "_base_exc", "health_check_failure", "__cause__")
LOST = {"RayActorError", "ActorDiedError", "WorkerCrashedError", "NodeDiedError", "WorkerHealthCheckFailedError"}


def error_record(error: MmdistError) -> dict[str, Any]:
    """The error as plain values, for an event; `error_from_record` gives it back."""
    if isinstance(error, MultipleJobFileError):
        error = JobFileError(str(error))
    place = None if error.place is None else vars(error.place)
    return {
        "error": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "expected": error.expected,
        "received": error.received,
        "place": place,
        "remedy": error.remedy,
    }


def error_from_record(record: dict[str, Any]) -> MmdistError:
    """The error of a record. A kind that this version does not know becomes the base, with its exit code."""
    kind = getattr(errors, str(record.get("error")), MmdistError)
    if not (isinstance(kind, type) and issubclass(kind, MmdistError)):
        kind = MmdistError
    place = record.get("place")
    error: MmdistError = kind(
        str(record.get("message")),
        expected=record.get("expected"),
        received=record.get("received"),
        place=None if place is None else Place(**place),
        remedy=record.get("remedy"),
    )
    error.exit_code = int(record.get("exit_code", error.exit_code))
    return error


def unwrap(error: BaseException) -> MmdistError:
    """The error of ours inside Ray's wrappers; else what Ray's error means; else a bug in mmdist."""
    chain = _chain(error)
    for inner in chain:
        # Ray's wrapper is an instance of its cause's class too, with a traceback for a message: take the cause.
        if isinstance(inner, MmdistError) and not hasattr(inner, "cause"):
            return inner
    for inner in chain:
        meaning = _meaning(inner)
        if meaning is not None:
            return meaning
    last = chain[-1]
    return MmdistError(
        "mmdist failed in a way it does not know",
        received=f"{type(last).__name__}: {last}"[:2000],
        remedy="the driver's log has the whole traceback: `mmdist logs RUN`; please report it as a bug",
    )


def new_workers_may_help(error: MmdistError) -> bool:
    """Whether this ended a group of workers from outside: none of them has judged the job, its data or its storage."""
    if error.__cause__ is None:
        return False
    # An error of a worker's own comes back as it was raised, from Ray's error that it was found in.
    inside = _chain(error.__cause__)
    return not any(isinstance(inner, MmdistError) and not hasattr(inner, "cause") for inner in inside)


def worker_failures(error: BaseException) -> dict[int, BaseException]:
    """What Ray knows of each worker of a group that failed, by rank."""
    for inner in _chain(error):
        failures = getattr(inner, "worker_failures", None)
        if isinstance(failures, dict):
            return failures
    return {}


def has_died(error: BaseException) -> bool:
    """Whether the worker with this failure is gone, rather than having raised something."""
    return any({base.__name__ for base in type(inner).__mro__} & LOST for inner in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    """The error and all that it wraps, outermost first."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        item = waiting.pop(0)
        if not isinstance(item, BaseException) or any(item is known for known in found):
            continue
        found.append(item)
        failures = getattr(item, "worker_failures", None)
        waiting.extend(failures.values() if isinstance(failures, dict) else ())
        waiting.extend(getattr(item, name, None) for name in WRAPPED)
    return found


def _meaning(error: BaseException) -> MmdistError | None:
    names = {base.__name__ for base in type(error).__mro__}
    text = f"{type(error).__name__}: {error}"[:2000]
    if "OutOfMemoryError" in names or isinstance(error, builtins.MemoryError):
        return ResourceError(
            "a worker ran out of memory",
            received=text,
            remedy="lower train.global_batch_size, or give the job machines with more memory",
        )
    if names & {"WorkerGroupStartupTimeoutError", "InsufficientClusterResourcesError"}:
        return ResourceError(
            "the cluster did not give the workers that the job asks for",
            received=text,
            remedy="wait until other jobs end, or ask for less in `resources`",
        )
    if names & LOST:
        return WorkerLostError(
            "a worker was lost and the retries are spent",
            received=text,
            remedy="`mmdist logs RUN` shows its last words; `mmdist submit --resume RUN` goes on from the checkpoint",
        )
    if isinstance(error, OSError) and error.errno == 28:
        return ResourceError("the disk is full", received=text, remedy="free space, then `mmdist submit --resume RUN`")
    return None
