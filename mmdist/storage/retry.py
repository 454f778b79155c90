"""Decides which failures of remote storage are tried again, how often and when. No I/O of its own."""

import logging
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from mmdist.errors import MmdistError, Place, StorageError, UsageError

__all__ = ["RetryPolicy", "TruncatedError", "is_permanent", "retry_counts", "storage_error"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_counts: Counter[str] = Counter()
_counts_lock = threading.Lock()


class TruncatedError(OSError):
    """Storage answered with fewer bytes than it was asked for and has."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often an operation is tried: waits double from `first_wait_s` to `max_wait_s`, each cut by up to a half.

    A new attempt begins only within `total_s` of the first, so an operation ends within that and one request.
    """

    attempts: int = 8
    first_wait_s: float = 0.2
    max_wait_s: float = 10.0
    total_s: float = 120.0
    request_timeout_s: float = 15.0
    """Seconds without a byte after which a request has stalled."""

    @staticmethod
    def from_environment() -> "RetryPolicy":
        """The defaults, with what MMDIST_STORAGE_ATTEMPTS, _TOTAL_S and _REQUEST_TIMEOUT_S change."""
        default = RetryPolicy()
        return RetryPolicy(
            attempts=int(_number("ATTEMPTS", default.attempts, least=1)),
            total_s=_number("TOTAL_S", default.total_s, least=0),
            request_timeout_s=_number("REQUEST_TIMEOUT_S", default.request_timeout_s, least=1),
        )

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after an attempt, counted from 1. The jitter keeps workers from coming back together."""
        return min(self.max_wait_s, self.first_wait_s * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)

    def run(self, kind: str, where: str, operation: Callable[[], T]) -> T:
        """What an operation returns, tried again while it fails in passing.

        Args:
            kind: What it does, in a word; retries are counted by it.
            where: What it does that to.
            operation: Must be safe to repeat.

        Raises:
            FileNotFoundError: from the operation, as it stands.
            StorageError: when the failure is permanent, or the attempts or the time are spent.
        """
        start = time.monotonic()
        attempt = 1
        while True:
            try:
                return operation()
            except (FileNotFoundError, MmdistError):
                raise
            except Exception as error:
                wait_s = self.wait_s(attempt)
                elapsed_s = time.monotonic() - start
                if is_permanent(error):
                    raise storage_error(error, where) from error
                if attempt >= self.attempts or elapsed_s + wait_s > self.total_s:
                    spent = f"failed {attempt} times in {elapsed_s:.1f} s" if attempt > 1 else "failed"
                    raise storage_error(error, where, what=f"the storage's {kind} {spent}") from error
                with _counts_lock:
                    _counts[kind] += 1
                _log.warning(
                    "%s of %s failed (%s); attempt %d of %d in %.1f s",
                    *(kind, where, _first_line(error), attempt + 1, self.attempts, wait_s),
                )
            time.sleep(wait_s)
            attempt += 1


def retry_counts() -> dict[str, int]:
    """Retries of this process so far, by kind of operation."""
    with _counts_lock:
        return dict(_counts)


_CREDENTIALS = "check AWS_ACCESS_KEY_ID and the like (docs/how-to/storage.md), and what that user may do there"
_PERMANENT = (
    # (what the error says, what that means, remedy)
    (r"NO_SUCH_BUCKET|NoSuchBucket", "there is no such bucket", "make the bucket, or check the URL and the endpoint"),
    (r"INVALID_ACCESS_KEY_ID|InvalidAccessKeyId|INVALID_CLIENT_TOKEN", "the access key is unknown", _CREDENTIALS),
    (r"SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch", "the secret key does not fit the access key", _CREDENTIALS),
    (r"EXPIRED_TOKEN|ExpiredToken|TOKEN_REFRESH_REQUIRED", "the session token has expired", "renew AWS_SESSION_TOKEN"),
    (r"REQUEST_TIME_TOO_SKEWED|RequestTimeTooSkewed", "this machine's clock is wrong", "set the clock"),
    (r"MISSING_AUTHENTICATION_TOKEN", "the storage asks for credentials", _CREDENTIALS),
    (r"ACCESS_DENIED|AccessDenied|HTTP status 40[13]|\b403\b", "the storage denies access", _CREDENTIALS),
    (r"PERMANENT_REDIRECT|PermanentRedirect|HTTP status 30\d", "the bucket is in another region", "set AWS_REGION"),
    (r"HTTP status 4(?!08|09|25|29)\d\d", "the storage refuses the request", "check the URL and the endpoint"),
)
_FINAL_TYPES = (
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    PermissionError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ImportError,
)


def is_permanent(error: Exception) -> bool:
    """Whether to try again is of no use."""
    return _meaning(error) is not None or isinstance(error, _FINAL_TYPES)


def storage_error(error: Exception, where: str, *, what: str = "storage failed an operation") -> StorageError:
    """The user's error for a failure of remote storage."""
    message, remedy = _meaning(error) or (what, "check the URL, the credentials and the health of the storage")
    return StorageError(
        message, received=f"{type(error).__name__}: {_first_line(error)}", place=Place(file=where), remedy=remedy
    )


def _meaning(error: Exception) -> tuple[str, str] | None:
    if not isinstance(error, OSError | pa.ArrowException):
        return None
    text = str(error)
    return next(((message, remedy) for pattern, message, remedy in _PERMANENT if re.search(pattern, text)), None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _number(name: str, default: float, *, least: float) -> float:
    variable = f"MMDIST_STORAGE_{name}"
    text = os.environ.get(variable)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        raise UsageError(f"{variable} must be a number", expected=f"at least {least:g}", received=text)
    return value
