"""Names the line of the job file that an error of the data or the storage is about."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmdist.errors import MmdistError
from mmdist.spec.load import LoadedJob

__all__ = ["at_key"]


@contextmanager
def at_key(loaded: LoadedJob, *path: str) -> Iterator[None]:
    """Moves an error to the line of the key that it is about; the place it had becomes part of what was received."""
    try:
        yield
    except MmdistError as error:
        at = error.place
        if at is not None and at.key is not None:
            path = tuple(at.key.split("."))
        was = at.file if at is not None else None
        received = error.received
        if was is not None:
            received = f"{received} ({was})" if received is not None else was
        raise type(error)(
            error.message,
            expected=error.expected,
            received=received,
            place=loaded.value_place(*path),
            remedy=error.remedy,
        ) from error
